"""The picture of a search: what each trial reached, and which settings matter."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from tasks.tuning.objective import Objective
from tasks.tuning.trials import Trial


def draw_history(
    path: Path, trials: Sequence[Trial], importances: Mapping[str, float], objective: Objective
) -> None:
    """Write a PNG of a search.

    Args:
        path: of the file.
        trials: all that have ended, in order.
        importances: of the settings, in sum 1; may be empty.
        objective: what they were to make low or high.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.2), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    history, bars = figure.subplots(1, 2, width_ratios=(3, 2))
    complete = [(trial.number, trial.value) for trial in trials if trial.value is not None]
    best = [
        (min if objective.goal == "lower" else max)(value for _, value in complete[: i + 1])
        for i in range(len(complete))
    ]
    numbers = [number for number, _ in complete]
    history.step(numbers, best, where="post", color="tab:blue", label="best so far")
    history.scatter(numbers, [v for _, v in complete], s=22, color="tab:gray", label="trial")
    for state, mark in (("pruned", "|"), ("failed", "x")):
        ended = [trial.number for trial in trials if trial.state == state]
        if ended:
            # On the lower edge, because they have no value.
            edge = history.get_xaxis_transform()
            history.scatter(
                ended,
                [0.02] * len(ended),
                marker=mark,
                color="tab:red",
                transform=edge,
                label=state,
            )
    history.set(xlabel="trial", ylabel=f"{objective.name} ({objective.goal} is better)")
    history.xaxis.get_major_locator().set_params(integer=True)
    history.legend(frameon=False)
    shown = list(importances.items())[::-1]
    bars.barh([key.partition(".")[2] for key, _ in shown], [share for _, share in shown])
    bars.set(xlabel="share of the importance", xlim=(0, 1))
    if not shown:
        bars.set_yticks([])
        place = {"transform": bars.transAxes, "ha": "center", "va": "center"}
        bars.text(0.5, 0.5, "too few complete trials", **place)
    figure.savefig(path, format="png", metadata={"Software": None})
