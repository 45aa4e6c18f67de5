"""Print how many false alarms thresholds promise on normal footage, and how many there were.

    python benchmarks/false_alarms.py RUN [--draws 20]

RUN has a model whose normal footage was scored by folds (`train.folds`); no labels are read. Twice over:

- one left out: for each video, or block of a long one, a threshold follows from all others, and alarms are
  counted in that one;
- a half: a threshold follows from half of them, drawn at random, and alarms are counted in the other half.

Budgets are such that what the threshold follows from holds 1, 2, 4, … events of the kind, and, by
extrapolation, a quarter and a twentieth of one.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from mulde.pipeline.config.load import load_config
from mulde.pipeline.events.find import Rule, Track, find_stretches
from mulde.pipeline.events.record import Threshold
from mulde.pipeline.events.thresholds import NormalFootage, amount_in_words, rate_in_words
from mulde.pipeline.runs.folder import RunFolder
from mulde.pipeline.stages.find_events import normal_footage
from mulde.pipeline.stages.hold_out import read_held_out

_ALLOWED = (0.05, 0.25, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
"""Events that the footage from which a threshold follows may hold above it."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--draws", type=int, default=20, help="random halves")
    options = parser.parse_args()
    run = RunFolder(options.run)
    settings = load_config(run.config).score
    pieces = read_held_out(run) or []
    if len(pieces) < 2:
        parser.error(f"{options.run} has no normal footage that was scored by folds: mulde train")
    whole = normal_footage(pieces, settings)
    n_pieces = len(whole.tracks)
    print(f"{options.run.name}: {amount_in_words(whole.hours)} of normal footage in {n_pieces} pieces")
    rng = np.random.default_rng(0)
    halves = [sorted(rng.permutation(n_pieces)[: n_pieces // 2].tolist()) for _ in range(options.draws)]
    for name, left_out in (("one left out", [[index] for index in range(n_pieces)]), ("a half", halves)):
        n_tries = 1 if name == "one left out" else options.draws
        print(f"{name}: a false alarm   promised   observed   in so many pieces   of one try, at most")
        for allowed, promised, observed in measure(whole, left_out):
            per_day = allowed * 24 / (whole.hours * (1 - len(left_out[0]) / n_pieces))
            n_with_any = sum(int(np.count_nonzero(counts)) for counts in observed)
            print(
                f"  {rate_in_words(per_day):22s} {promised / n_tries:8.1f} "
                f"{sum(map(sum, observed)) / n_tries:10.1f} {n_with_any / n_tries:19.1f} "
                f"{max(map(sum, observed)):20d}" + ("   extrapolated" if allowed < 1 else "")
            )


def measure(
    whole: NormalFootage, left_out: Sequence[Sequence[int]]
) -> Iterator[tuple[float, float, list[list[int]]]]:
    """Yield what is allowed, the false alarms promised in all tries, and of each try those of its pieces."""
    for allowed in _ALLOWED:
        promised, observed = 0.0, []
        for indices in left_out:
            known = NormalFootage(
                [track for index, track in enumerate(whole.tracks) if index not in set(indices)],
                whole.make_rule,
            )
            others = [whole.tracks[index] for index in indices]
            per_day = allowed * 24 / known.hours
            promised += per_day * sum(track.n_seconds for track in others) / 3600 / 24
            observed.append(count_alarms(known.threshold(per_day), known.rule, others))
        yield allowed, promised, observed


def count_alarms(threshold: Threshold, rule: Rule, tracks: Sequence[Track]) -> list[int]:
    """Return how many alarms each track raises."""
    if threshold.listed_score is None:
        return [0] * len(tracks)
    found = [find_stretches(track, threshold.listed_score, rule) for track in tracks]
    return [sum(threshold.is_alarm(stretch.score) for stretch in stretches) for stretches in found]


if __name__ == "__main__":
    main()
