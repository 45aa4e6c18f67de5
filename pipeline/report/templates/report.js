"use strict";
(() => {
  const page = JSON.parse(document.getElementById("data").textContent);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const one = (selector, root = document) => root.querySelector(selector);

  // --- Theme: the system's, or the one that the reader chose ---

  const root = document.documentElement;
  const themeButton = document.getElementById("theme");
  const charts = new Map(); // by the element that holds it
  const themes = ["automatic", "light", "dark"];

  const keep = {
    // a page opened from a disk may not be allowed to keep anything
    get() { try { return localStorage.getItem("mulde-theme"); } catch { return null; } },
    set(value) { try { localStorage.setItem("mulde-theme", value); } catch { /* for this visit only */ } },
  };

  function setTheme(theme) {
    if (theme === "automatic") delete root.dataset.theme;
    else root.dataset.theme = theme;
    one("b", themeButton).textContent = theme;
    charts.forEach(chart => chart.redraw(false));
  }

  let theme = themes.includes(keep.get()) ? keep.get() : "automatic";
  themeButton.hidden = false;
  themeButton.onclick = () => {
    theme = themes[(themes.indexOf(theme) + 1) % themes.length];
    keep.set(theme);
    setTheme(theme);
  };
  matchMedia("(prefers-color-scheme: dark)").onchange = () => setTheme(theme);

  const probe = document.createElement("i"); // canvases know no variables of a style sheet
  probe.hidden = true;
  document.body.append(probe);
  const colour = name => {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  };

  // --- Numbers as people read them ---

  const two = number => String(Math.floor(number)).padStart(2, "0");
  const groups = number => String(number).replace(/\B(?=(\d{3})+$)/g, "\u202f");
  const short = number => String(Number(number.toPrecision(3)));

  function clock(seconds, step) {
    const digits = step < 1 ? 1 : 0;
    const whole = Math.round(seconds * 10 ** digits) / 10 ** digits;
    const second = (whole % 60).toFixed(digits).padStart(digits ? 4 : 2, "0");
    const minutes = Math.floor(whole / 60), hours = Math.floor(minutes / 60);
    return hours ? `${hours}:${two(minutes % 60)}:${second}` : `${minutes}:${second}`;
  }

  function timeOfDay(seconds, step) {
    const digits = step < 1 ? 1 : 0;
    const whole = (Math.round(seconds * 10 ** digits) / 10 ** digits) % 86400;
    const text = `${two(whole / 3600)}:${two((whole / 60) % 60)}`;
    return step < 60 ? `${text}:${(whole % 60).toFixed(digits).padStart(digits ? 4 : 2, "0")}` : text;
  }

  // --- Curves as `mulde.pipeline.report.curves.encode` wrote them ---

  function bytes(text) {
    const letters = atob(text), found = new Uint8Array(letters.length);
    for (let i = 0; i < letters.length; i++) found[i] = letters.charCodeAt(i);
    return found.buffer;
  }

  const values = part => Float64Array.from(new Uint16Array(bytes(part.data)), level => part.low + level * part.step);

  function read(video) {
    const { n, frames, times, score, streams } = video.curve;
    return {
      frames: frames === null ? null : new Uint32Array(bytes(frames)),
      seconds: times.ms === undefined
        ? Float64Array.from({ length: n }, (_, i) => times.first + i / times.rate)
        : Float64Array.from(new Uint32Array(bytes(times.ms)), ms => ms / 1000),
      score: values(score),
      streams: streams.map(values),
    };
  }

  // --- Charts ---

  const STEPS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200];
  const FONT = "12px system-ui, sans-serif";
  const axis = changes => ({
    font: FONT, stroke: () => colour("muted"), grid: { stroke: () => colour("grid"), width: 1 },
    ticks: { show: false }, ...changes,
  });

  function fill(u, from, to, top, height, name) {
    const left = Math.max(u.valToPos(from, "x", true), u.bbox.left);
    const right = Math.min(u.valToPos(to, "x", true), u.bbox.left + u.bbox.width);
    if (right < u.bbox.left || left > u.bbox.left + u.bbox.width) return;
    u.ctx.fillStyle = colour(name);
    u.ctx.fillRect(left, top, Math.max(right - left, devicePixelRatio), height);
  }

  function level(u, score, name) {
    const y = u.valToPos(score, "y", true);
    u.ctx.save();
    u.ctx.strokeStyle = colour(name);
    u.ctx.lineWidth = 1.5 * devicePixelRatio;
    u.ctx.setLineDash([6 * devicePixelRatio, 4 * devicePixelRatio]);
    u.ctx.beginPath();
    u.ctx.moveTo(u.bbox.left, y);
    u.ctx.lineTo(u.bbox.left + u.bbox.width, y);
    u.ctx.stroke();
    u.ctx.restore();
  }

  function bands(u, video, base) {
    const edge = 3 * devicePixelRatio, { top, height } = u.bbox;
    for (const [from, to] of video.abnormal) fill(u, from + base, to + base, top, height, "label");
    for (const [from, to, isAlarm] of video.events) {
      fill(u, from + base, to + base, top, height, isAlarm ? "alarm-fill" : "notice-fill");
    }
    for (const [from, to] of video.abnormal) fill(u, from + base, to + base, top + height - edge, edge, "label-edge");
    for (const [from, to, isAlarm] of video.events) {
      fill(u, from + base, to + base, top, edge, isAlarm ? "alarm" : "notice");
    }
  }

  const follow = new ResizeObserver(entries => {
    for (const { target } of entries) {
      const chart = charts.get(target);
      if (chart && target.clientWidth) chart.setSize({ width: target.clientWidth, height: target.clientHeight });
    }
  });

  function draw(holder, options, data) {
    const size = { width: holder.clientWidth || 600, height: holder.clientHeight || 190 };
    const chart = new uPlot({ ...size, legend: { show: false }, ...options }, data, holder);
    charts.set(holder, chart);
    follow.observe(holder);
    return chart;
  }

  function drawVideo(holder) {
    const known = charts.get(holder);
    if (known) return known;
    const video = page.videos[holder.dataset.video];
    const curve = read(video), names = video.curve.streams.map(stream => stream.name);
    // on an axis of the time of day, ticks stand at full hours
    const base = video.clock === null ? 0 : video.clock;
    const tell = video.clock === null ? clock : timeOfDay;
    const x = curve.seconds.map(second => second + base);
    const { low, high, width } = page.axis;
    const output = one("output", holder.parentElement);
    const article = holder.closest("article");

    function show(u) {
      const i = u.cursor.idx;
      if (i === null || i === undefined) return; // what was read last stays
      output.replaceChildren();
      const frame = curve.frames === null ? i : curve.frames[i];
      const when = [clock(curve.seconds[i], 0.1)];
      if (video.clock !== null) when.unshift(timeOfDay(x[i], 1));
      const bold = document.createElement("b");
      bold.textContent = when[0];
      const shown = names.filter((_, k) => u.series[k + 2].show);
      const parts = [
        ...when.slice(1), `frame ${groups(frame)}`, `score ${short(curve.score[i])}`,
        ...shown.map(name => `${name} ${short(curve.streams[names.indexOf(name)][i])}`),
      ];
      output.append(bold, ` · ${parts.join(" · ")}`);
      holder.setAttribute("aria-valuenow", String(curve.seconds[i]));
      holder.setAttribute("aria-valuetext", [...when, ...parts.slice(when.length - 1)].join(", "));
    }

    const chart = draw(holder, {
      scales: {
        x: { time: false },
        y: {
          ...(width === null ? {} : { distr: 4, asinh: width }),
          range: (u, least, most) => [Math.min(low, least ?? low), Math.max(high, most ?? high)],
        },
      },
      axes: [
        axis({ incrs: STEPS, space: 70, size: 30, values: (u, splits, i, space, step) => splits.map(at => tell(at, step)) }),
        axis({ size: 44, space: 34, values: (u, splits) => splits.map(at => (at === null ? "" : short(at))) }),
      ],
      series: [
        {},
        { stroke: () => colour("curve"), width: 1.5, points: { show: false } },
        ...names.map((_, k) => ({
          show: false, stroke: () => colour(`stream-${(k % 5) + 1}`), width: 1, points: { show: false },
        })),
      ],
      cursor: { y: false, drag: { x: true, y: false }, points: { size: 7 } },
      hooks: {
        drawClear: [u => bands(u, video, base)],
        draw: [u => {
          if (page.threshold !== null) level(u, page.threshold, "alarm");
          if (page.listed !== null && page.listed !== page.threshold) level(u, page.listed, "notice");
        }],
        setCursor: [show],
      },
    }, [x, curve.score, ...curve.streams]);

    const first = x[0], last = x[x.length - 1];
    const limit = (from, to) => {
      const length = Math.min(Math.max(to - from, 4 * (last - first) / x.length), last - first);
      const start = Math.min(Math.max(from, first), last - length);
      if (length > 0) chart.setScale("x", { min: start, max: start + length });
    };
    chart.look = limit;
    chart.base = base;
    // a new scale is there only after uPlot's own microtask
    const point = i => queueMicrotask(() => {
      chart.setCursor({ left: chart.valToPos(x[i], "x"), top: chart.valToPos(curve.score[i], "y") });
    });
    chart.point = seconds => point(nearest(x, seconds + base));
    const zoom = factor => {
      const { min, max } = chart.scales.x;
      const i = chart.cursor.idx;
      const middle = i !== null && i !== undefined && x[i] > min && x[i] < max ? x[i] : (min + max) / 2;
      limit(middle - (middle - min) * factor, middle + (max - middle) * factor);
    };
    const move = (steps, to) => {
      const { min, max } = chart.scales.x;
      const now = chart.cursor.idx ?? nearest(x, (min + max) / 2);
      const i = Math.min(Math.max(to ?? now + steps, 0), x.length - 1);
      if (x[i] < min || x[i] > max) limit(x[i] - (max - min) / 2, x[i] + (max - min) / 2);
      point(i);
    };
    // a step of an arrow is about a pixel
    const step = () => {
      const { min, max } = chart.scales.x;
      return Math.max(1, Math.round((nearest(x, max) - nearest(x, min)) / 400));
    };
    const keys = {
      ArrowLeft: () => move(-step()), ArrowRight: () => move(step()),
      PageDown: () => move(-20 * step()), PageUp: () => move(20 * step()),
      Home: () => move(0, 0), End: () => move(0, x.length - 1),
      "+": () => zoom(0.5), "=": () => zoom(0.5), "-": () => zoom(2), 0: () => limit(first, last),
    };
    holder.tabIndex = 0;
    holder.setAttribute("role", "slider");
    holder.setAttribute("aria-label", holder.dataset.label);
    holder.setAttribute("aria-valuemin", String(curve.seconds[0]));
    holder.setAttribute("aria-valuemax", String(curve.seconds[curve.seconds.length - 1]));
    holder.setAttribute("aria-valuenow", String(curve.seconds[0]));
    holder.onkeydown = event => {
      if (event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
      event.preventDefault();
      keys[event.key]();
    };
    holder.addEventListener("wheel", event => {
      if (!event.ctrlKey) return; // the page scrolls
      event.preventDefault();
      zoom(event.deltaY < 0 ? 0.7 : 1 / 0.7);
    }, { passive: false });
    holder.addEventListener("pointermove", event => {
      if (event.pointerType === "mouse") return;
      const box = chart.over.getBoundingClientRect();
      chart.setCursor({ left: event.clientX - box.left, top: event.clientY - box.top });
    });
    const buttons = { in: () => zoom(0.5), out: () => zoom(2), all: () => limit(first, last) };
    for (const button of all("[data-zoom]", article)) button.onclick = buttons[button.dataset.zoom];
    all(".streams input", article).forEach((input, k) => {
      const swatch = document.createElement("span");
      swatch.className = "swatch";
      swatch.style.color = `var(--stream-${(k % 5) + 1})`;
      input.after(swatch);
      input.onchange = () => {
        chart.setSeries(k + 2, { show: input.checked });
        show(chart);
      };
    });
    return chart;
  }

  function nearest(x, value) {
    let low = 0, high = x.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (x[middle] < value) low = middle;
      else high = middle;
    }
    return value - x[low] < x[high] - value ? low : high;
  }

  const near = new IntersectionObserver(entries => {
    for (const { target, isIntersecting } of entries) {
      if (!isIntersecting) continue;
      near.unobserve(target);
      drawVideo(target);
    }
  }, { rootMargin: "300px" });
  for (const holder of all(".chart[data-video]")) near.observe(holder);

  function drawRates() {
    const share = axis({ size: 40, space: 40, values: (u, splits) => splits.map(at => (at === null ? "" : String(Math.round(at * 100) / 100))) });
    const options = (across, up, reference) => ({
      scales: { x: { time: false, range: [0, 1] }, y: { range: [0, 1.01] } },
      axes: [{ ...share, label: across, labelFont: FONT, labelSize: 20 }, { ...share, label: up, labelFont: FONT, labelSize: 20 }],
      series: [{}, { stroke: () => colour("curve"), width: 2, points: { show: false } }],
      cursor: { drag: { x: false, y: false }, points: { size: 7 } },
      hooks: { drawClear: [reference] },
    });
    const holders = [document.getElementById("roc"), document.getElementById("pr")];
    if (charts.has(holders[0])) return;
    for (const holder of holders) {
      holder.setAttribute("role", "img");
      holder.setAttribute("aria-label", holder.dataset.label);
    }
    const { roc, pr, abnormal } = page.rates;
    draw(holders[0], options("false positive rate", "true positive rate", u => {
      u.ctx.save();
      u.ctx.strokeStyle = colour("muted");
      u.ctx.setLineDash([4, 4]);
      u.ctx.beginPath();
      u.ctx.moveTo(u.valToPos(0, "x", true), u.valToPos(0, "y", true));
      u.ctx.lineTo(u.valToPos(1, "x", true), u.valToPos(1, "y", true));
      u.ctx.stroke();
      u.ctx.restore();
    }), roc);
    draw(holders[1], options("recall", "precision", u => level(u, abnormal, "muted")), pr);
  }
  for (const details of all("[data-draw=rates]")) details.ontoggle = () => details.open && drawRates();

  function showInCurve(video, from, to, peak) {
    const holder = one(`.chart[data-video="${video}"]`);
    holder.closest("article").scrollIntoView({ block: "center" });
    const chart = drawVideo(holder);
    if (from !== null) {
      const margin = Math.max(5, 1.5 * (to - from));
      chart.look(from - margin + chart.base, to + margin + chart.base);
    }
    chart.point(peak);
    holder.focus({ preventScroll: true });
  }

  // --- Events, enlarged ---

  const dialog = one("dialog");
  const pictured = all(".shot[data-event]").map(button => Number(button.dataset.event));
  const eventOf = number => page.events[number - 1];
  let current = null, withBox = true;

  function place(image, isPeak) {
    const stage = one(".stage", dialog);
    const picture = image.cloneNode();
    picture.alt = isPeak ? `The frame of the peak of event ${current}` : image.alt;
    stage.replaceChildren(picture);
    const box = one(`#event-${current} .shot svg`);
    if (isPeak && withBox && box) stage.append(box.cloneNode(true));
  }

  function enlarge(number) {
    const event = eventOf(number), card = document.getElementById(`event-${number}`);
    current = number;
    one("h2", dialog).textContent = `${number} · ${event.when} · ${event.video}`;
    one(".reason", dialog).textContent = event.reason;
    one(".facts-line", dialog).textContent = event.facts;
    const main = one(".shot img", card);
    const small = all(".strip img", card);
    one(".strip", dialog).replaceChildren(...small.map(image => {
      const isPeak = image.classList.contains("now");
      const button = document.createElement("button"), text = document.createElement("span");
      const copy = image.cloneNode();
      copy.className = "";
      copy.alt = "";
      button.type = "button";
      text.textContent = image.alt;
      button.append(copy, text);
      button.setAttribute("aria-pressed", String(isPeak));
      button.onclick = () => {
        for (const other of all("button", button.parentElement)) other.setAttribute("aria-pressed", String(other === button));
        place(isPeak ? main : image, isPeak);
      };
      return button;
    }));
    place(main, true);
    const at = pictured.indexOf(number);
    one("[data-go=previous]", dialog).disabled = at === 0;
    one("[data-go=next]", dialog).disabled = at === pictured.length - 1;
    if (!dialog.open) dialog.showModal();
  }

  function go(by) {
    const next = pictured[pictured.indexOf(current) + by];
    if (next !== undefined) enlarge(next);
  }

  function toggleBox() {
    withBox = !withBox;
    one("[data-go=box]", dialog).setAttribute("aria-pressed", String(withBox));
    enlarge(current);
  }

  const actions = {
    previous: () => go(-1), next: () => go(1), close: () => dialog.close(), box: toggleBox,
    curve: () => {
      const event = eventOf(current);
      dialog.close();
      showInCurve(event.index, event.from, event.to, event.peak);
    },
  };
  for (const button of all("[data-go]", dialog)) button.onclick = actions[button.dataset.go];
  dialog.onclick = event => event.target === dialog && dialog.close();
  dialog.onkeydown = event => {
    if (event.key === "ArrowLeft") go(-1);
    else if (event.key === "ArrowRight") go(1);
    else if (event.key === "b") toggleBox();
    else return;
    event.preventDefault();
  };

  document.addEventListener("click", click => {
    const link = click.target.closest("[data-event], [data-show], [data-at]");
    if (!link || click.ctrlKey || click.metaKey) return;
    click.preventDefault();
    const number = Number(link.dataset.event ?? link.dataset.show);
    if (link.dataset.at !== undefined) {
      const article = document.getElementById(link.getAttribute("href").slice(1));
      const at = Number(link.dataset.at);
      showInCurve(one(".chart", article).dataset.video, at, at, at);
    } else if (link.dataset.event !== undefined && pictured.includes(number)) {
      enlarge(number);
    } else {
      const event = eventOf(number);
      showInCurve(event.index, event.from, event.to, event.peak);
    }
  });

  // --- Tables that can be sorted ---

  for (const table of all("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
    const key = (row, column) => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
    const compare = (a, b) => a - b || a.localeCompare(b, undefined, { numeric: true });
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.append(...head.childNodes);
      head.append(button);
      button.onclick = () => {
        // Numbers start with the highest, names with the first; empty cells stay last.
        const first = column ? "descending" : "ascending";
        const second = column ? "ascending" : "descending";
        const order = head.getAttribute("aria-sort") === first ? second : first;
        heads.forEach(other => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", order);
        const sign = order === "ascending" ? 1 : -1;
        const rows = [...body.rows].map(row => [key(row, column), row]);
        rows.sort(([a], [b]) => (a === "") - (b === "") || sign * compare(a, b));
        body.append(...rows.map(([, row]) => row));
      };
    });
  }

  setTheme(theme);
})();
