"use strict";
(() => {
  const SHOWN_SECONDS = 300;
  const SILENT_MS = 15000, RETRY_MS = 3000;
  const FEW = 8, FEW_OF_MANY = 4; // events that are shown unasked, of one camera and of each of several
  const one = (selector, root = document) => root.querySelector(selector);
  const connection = document.getElementById("connection");
  const dialog = one("dialog");
  const cameras = new Map(); // by number

  const fresh = id => document.getElementById(id).content.cloneNode(true).firstElementChild;
  const count = number => String(number).replace(/\B(?=(\d{3})+$)/g, "\u202f");

  // --- A camera ---

  function addCamera(number) {
    const root = fresh("camera");
    const camera = { number, root, state: {}, points: [], events: [], shown: new Map(), view: 0, loading: false, all: false };
    const later = [...cameras.keys()].filter(other => other > number).sort((a, b) => a - b)[0];
    document.getElementById("cameras").insertBefore(root, later === undefined ? null : cameras.get(later).root);
    cameras.set(number, camera);
    one(".more", root).onclick = () => {
      camera.all = !camera.all;
      showEvents(camera);
    };
    cameras.forEach(showEvents); // of several, fewer each
    const image = one(".picture", root);
    image.onload = () => {
      image.hidden = false;
      one(".empty", root).hidden = true;
      camera.loading = false;
      loadPicture(camera);
    };
    image.onerror = () => { camera.loading = false; };
    return camera;
  }

  function loadPicture(camera) { // the next one when this one is there: a slow line gets fewer
    if (camera.loading || camera.drawn === camera.view || !camera.view) return;
    camera.loading = true;
    camera.drawn = camera.view;
    one(".picture", camera.root).src = `cameras/${camera.number}/picture?${camera.view}`;
  }

  function take(news) {
    if (news.camera === undefined) return; // a sign of life
    const camera = cameras.get(news.camera) ?? addCamera(news.camera);
    if (news.points) {
      camera.points.push(...news.points);
      const oldest = camera.points[camera.points.length - 1][0] - SHOWN_SECONDS;
      const kept = camera.points.findIndex(point => point[0] >= oldest);
      camera.points.splice(0, kept);
    }
    if (news.state) {
      camera.state = news.state;
      showState(camera);
    }
    if (news.events) {
      camera.events = news.events;
      showEvents(camera);
    }
    if (news.points || news.state || news.events) drawCurve(camera);
    if (news.view) {
      camera.view = news.view;
      loadPicture(camera);
    }
  }

  const CONDITIONS = {
    frozen: "the picture stands still", black: "the picture is black, or covered", moved: "the camera was moved",
  };

  function showState({ root, state }) {
    one("h2", root).textContent = state.name;
    const said = one(".state", root);
    const trouble = state.up ? CONDITIONS[state.condition] : state.trouble || "waiting for the source";
    said.textContent = trouble ?? "watching";
    said.classList.toggle("bad", Boolean(trouble));
    one(".live", root).classList.toggle("is-old", !state.up);
    one(".picture", root).alt = `The last frame of ${state.name} that was scored`;

    const level = state.score === null ? "" : levelOf(state.score, state);
    one(".score", root).className = `score ${level}`;
    one(".value", root).textContent = state.score === null ? "–" : state.score.toFixed(2);
    one(".of", root).textContent = level === "alarm" ? "score: alarm" : level === "listed" ? "score: unusual" : "score";

    const facts = [
      ["Events", `${count(state.events)}, alarms ${count(state.alarms)}`],
      ["Frames", `${count(state.frames)}, ${state.rate.toFixed(1)} a second`],
      ["Behind", state.behind === null ? "–" : `${state.behind.toFixed(1)} s`],
      ["Dropped", count(state.dropped)],
      ["Lost", state.lost === 0 ? "never" : state.lost === 1 ? "once" : `${count(state.lost)} times`],
    ];
    one(".facts", root).replaceChildren(...facts.flatMap(([name, value]) => {
      const dt = document.createElement("dt"), dd = document.createElement("dd");
      dt.textContent = name;
      dd.textContent = value;
      return [dt, dd];
    }));
  }

  const levelOf = (score, state) =>
    state.alarm !== null && score >= state.alarm ? "alarm" : state.listed !== null && score >= state.listed ? "listed" : "";

  // --- The curve ---

  function drawCurve({ root, state, points, events }) {
    const scores = points.map(point => point[1]).filter(score => score !== null);
    if (!scores.length) return;
    const stop = points[points.length - 1][0], start = Math.max(points[0][0], stop - SHOWN_SECONDS);
    const low = Math.min(0, ...scores), high = Math.max(...scores, 1.15 * (state.alarm ?? 0), low + 1e-6);
    const x = seconds => 1000 * (seconds - start) / Math.max(stop - start, 1e-6);
    const y = score => 196 - 192 * (score - low) / (high - low);
    let path = "", isOn = false;
    for (const [seconds, score] of points) {
      if (score !== null) path += `${isOn ? "L" : "M"}${x(seconds).toFixed(1)} ${y(score).toFixed(1)}`;
      isOn = score !== null;
    }
    one(".line", root).setAttribute("d", path);
    const isNear = state.alarm !== null && Math.abs(y(state.alarm) - y(state.listed)) < 24; // their words would overlap
    const labels = [["alarm", state.alarm, "alarm"], ["listed", state.listed === state.alarm ? null : state.listed, "listed"]];
    for (const [name, score, words] of labels) {
      const line = one(`.level.${name}`, root), label = one(`.label.${name}`, root);
      line.toggleAttribute("hidden", score === null);
      label.hidden = score === null || (name === "listed" && isNear);
      if (score === null) continue;
      line.setAttribute("y1", y(score));
      line.setAttribute("y2", y(score));
      label.style.top = `${y(score) / 200 * one("svg", root).clientHeight}px`;
      label.textContent = `${words} ${score.toFixed(2)}`;
    }
    one(".spans", root).replaceChildren(...events.filter(event => (event.to ?? stop) >= start && event.from <= stop).map(event => {
      const rect = document.createElementNS("http://www.w3.org/2000/svg", "rect");
      const left = Math.max(0, x(event.from)), right = Math.min(1000, x(event.to ?? stop));
      const place = { x: left, y: 0, width: Math.max(2, right - left), height: 200 };
      Object.entries(place).forEach(([key, value]) => rect.setAttribute(key, value));
      rect.setAttribute("class", event.alarm ? "alarm" : "listed");
      return rect;
    }));
    const length = Math.round(stop - start);
    one(".since", root).textContent = length < 120 ? `${length} s ago` : `${Math.round(length / 60)} min ago`;
    const threshold = state.alarm === null ? "" : `; alarms from ${state.alarm.toFixed(2)} on`;
    one("svg", root).setAttribute("aria-label",
      `Score over the last ${length} seconds, highest ${Math.max(...scores).toFixed(2)}${threshold}`);
  }

  // --- Events ---

  function showEvents(camera) {
    one(".none", camera.root).hidden = camera.events.length > 0;
    const list = one(".events", camera.root), before = camera.shown;
    camera.shown = new Map();
    camera.events.forEach((event, place) => { // an item keeps its element, and with it the focus
      const item = before.get(event.id) ?? fresh("event");
      camera.shown.set(event.id, item);
      if (list.children[place] !== item) list.insertBefore(item, list.children[place] ?? null);
      fill(item, event, camera);
    });
    for (const [id, item] of before) if (!camera.shown.has(id)) item.remove();
    const few = cameras.size > 1 ? FEW_OF_MANY : FEW, more = one(".more", camera.root);
    [...list.children].forEach((item, place) => { item.hidden = !camera.all && place >= few; });
    more.hidden = camera.events.length <= few;
    more.textContent = camera.all ? "Show fewer" : `Show all ${camera.events.length}`;
  }

  const factsOf = event => `score ${event.score.toFixed(2)}${event.seconds === null ? "" : ` · ${event.seconds.toFixed(1)} s`}`;
  const place = (camera, name) => `cameras/${camera.number}/${name.split("/").map(encodeURIComponent).join("/")}`;

  function fill(item, event, camera) {
    const button = one(".shot", item), image = one("img", button), badge = one(".badge", item);
    item.classList.toggle("goes-on", event.to === null);
    one(".when span", item).textContent = event.when;
    badge.textContent = event.to === null ? "goes on" : event.alarm ? "alarm" : "unusual";
    badge.classList.toggle("alarm", event.alarm);
    one(".reason", item).textContent = event.reason;
    one(".facts-line", item).textContent = factsOf(event);
    one(".play", item).hidden = !event.clip;
    button.hidden = !event.picture && !event.clip;
    button.setAttribute("aria-label", `Enlarge the event of ${event.when}${event.clip ? ", with its clip" : ""}`);
    if (event.picture && image.getAttribute("src") !== place(camera, event.picture)) image.src = place(camera, event.picture);
    button.onclick = () => enlarge(event, camera);
  }

  function enlarge(event, camera) {
    const image = one("img", dialog), video = one("video", dialog);
    one("h2", dialog).textContent = `${camera.state.name} · ${event.when}`;
    one(".reason", dialog).textContent = event.reason;
    one(".facts-line", dialog).textContent = factsOf(event);
    image.hidden = Boolean(event.clip);
    video.hidden = !event.clip;
    if (event.clip) {
      video.src = place(camera, event.clip);
      video.play().catch(() => { /* whoever looks presses play */ });
    } else {
      image.src = place(camera, event.picture);
      image.alt = `The event of ${event.when}: ${event.reason}`;
    }
    dialog.showModal();
  }

  one(".close", dialog).onclick = () => dialog.close();
  dialog.onclick = click => click.target === dialog && dialog.close();
  dialog.onclose = () => {
    const video = one("video", dialog);
    video.pause();
    video.removeAttribute("src");
    video.load();
  };

  // --- What is new: while somebody looks, and again when the connection was lost ---

  let source = null, timer = 0;

  function wait(milliseconds, then) {
    clearTimeout(timer);
    timer = setTimeout(then, milliseconds);
  }

  function lose() {
    source.close();
    tell("The connection is lost; it is tried again.", true);
    wait(RETRY_MS, listen);
  }

  function listen() {
    source?.close();
    source = new EventSource("news");
    wait(SILENT_MS, lose); // a line that is cut says nothing, not even that
    let isFirst = true;
    source.onopen = () => tell("Connected", false);
    source.onmessage = message => {
      wait(SILENT_MS, lose);
      if (isFirst) cameras.forEach(camera => { camera.points = []; }); // all that is known comes again
      isFirst = false;
      take(JSON.parse(message.data));
    };
    source.onerror = lose;
  }

  function tell(words, isBad) {
    connection.textContent = words;
    connection.classList.toggle("bad", isBad);
  }

  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) listen();
    else {
      clearTimeout(timer);
      source?.close();
    }
  });
  listen();
})();
