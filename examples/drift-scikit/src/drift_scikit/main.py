"""A model is trained on one batch of measurements and scores the next, unless that has drifted from what it knows."""

from dataclasses import dataclass

import joblib
import numpy as np
from scipy.stats import ks_2samp
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import salt

names: list[str] = [str(name) for name in load_breast_cancer().feature_names]
"""Of the measurements: thirty of each sample's cell nuclei."""


@dataclass
class Batch:
    measured: np.ndarray
    """A row for each sample, a column for each name."""
    benign: np.ndarray


def has_no_gaps(batch: Batch) -> bool:
    return bool(np.isfinite(batch.measured).all())


@salt.task(checks={"has_no_gaps": has_no_gaps})
def collect(day: int, drift: float = 0) -> Batch:
    """The batch of day 0 or 1. `drift` plants a fault: by so much more does the microscope magnify on day 1."""
    samples = load_breast_cancer()
    batches = train_test_split(samples.data, samples.target, test_size=0.4, random_state=7, stratify=samples.target)
    measured, benign = batches[day], batches[2 + day]
    if day == 1:
        measured = measured * np.where(["radius" in name or "perimeter" in name for name in names], 1 + drift, 1)
    return Batch(measured, benign)


@salt.task
def train(batch: Batch, ctx: salt.TaskContext) -> salt.FileValue:
    model = make_pipeline(StandardScaler(), LogisticRegression())
    joblib.dump(model.fit(batch.measured, batch.benign), ctx.folder / "model.joblib")
    return ctx.file("model.joblib")


@dataclass
class Comparison:
    p_least: float
    """The least chance, of all measurements, that batches as unlike as these come from one source."""
    p: dict[str, float]


def has_not_drifted(compared: Comparison) -> salt.CheckFinding:
    """By Bonferroni: of thirty measurements together, one in a hundred batches fails without a reason."""
    drifted = {name: p for name, p in compared.p.items() if p < 0.01 / len(compared.p)}
    if drifted:
        return salt.check.fail(f"{len(drifted)} measurements have drifted", drifted)
    return salt.check.ok(f"p ≥ {compared.p_least:.2g}")


@salt.task(checks={"has_not_drifted": has_not_drifted})
def compare(known: Batch, new: Batch) -> Comparison:
    """By Kolmogorov and Smirnov's test of each measurement."""
    p = {name: float(ks_2samp(known.measured[:, at], new.measured[:, at]).pvalue) for at, name in enumerate(names)}
    return Comparison(min(p.values()), p)


@dataclass
class Score:
    samples: int
    accuracy: float


def is_good_enough(score: Score) -> salt.CheckFinding:
    text = f"{score.accuracy:.1%} are right"
    return salt.check.ok(text) if score.accuracy > 0.95 else salt.check.warn(text)


@salt.task(checks={"is_good_enough": is_good_enough})
def score(model: salt.FileValue, batch: Batch, ctx: salt.TaskContext) -> Score:
    trained = joblib.load(ctx.path_of(model))
    return Score(len(batch.benign), round(float(accuracy_score(batch.benign, trained.predict(batch.measured))), 3))


@salt.workflow
async def nightly(drift: float = 0) -> Score:
    """Arrays and the model go from task to task as files. A batch that has drifted fails the run: nothing is scored."""
    known, new = collect(0), collect(1, drift)
    model = train(salt.pass_on(known))
    await compare(salt.pass_on(known), salt.pass_on(new))
    return await score(salt.pass_on(model), salt.pass_on(new))


if __name__ == "__main__":
    salt.main()
