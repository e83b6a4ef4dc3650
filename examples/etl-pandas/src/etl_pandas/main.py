"""Carbon dioxide and El Niño: two public records are cleaned, joined month by month, and written down as one."""

from dataclasses import dataclass
from importlib.resources import files

import pandas as pd

import salt

data = files(__package__) / "data"


def has_all_months(table: pd.DataFrame) -> salt.CheckFinding:
    months = pd.date_range(table.index[0], table.index[-1], freq="MS")
    missing = months.difference(table.index)
    if len(missing) > 0:
        return salt.check.fail("months are missing", {"months": [f"{month:%Y-%m}" for month in missing]})
    return salt.check.ok(f"{len(months)} months")


def is_plausible(table: pd.DataFrame) -> bool:
    """CO₂ in ppm, as it has been since instruments measure it."""
    return bool(table["co2"].between(300, 500).all())


def few_filled(table: pd.DataFrame) -> salt.CheckFinding:
    filled = int(table["filled"].sum())
    return salt.check.warn(f"{filled} months without a measurement were filled") if filled > 0 else salt.check.ok()


@salt.task(checks={"has_all_months": has_all_months, "is_plausible": is_plausible, "few_filled": few_filled})
def read_co2() -> pd.DataFrame:
    """Weekly measurements on Mauna Loa, some of them missing, as monthly means."""
    with data.joinpath("co2.csv").open() as file:
        weeks = pd.read_csv(file, parse_dates=["date"], date_format="%Y%m%d")
    months = weeks.set_index("date")["co2"].resample("MS").mean()
    print(f"{len(weeks)} weeks, {weeks['co2'].isna().sum()} without a measurement")
    return pd.DataFrame({"co2": months.interpolate(), "filled": months.isna()})


@salt.task(checks={"has_all_months": has_all_months})
def read_sea() -> pd.DataFrame:
    """Temperatures of the sea off Peru, which come with a row for each year and a column for each month."""
    with data.joinpath("elnino.csv").open() as file:
        years = pd.read_csv(file)
    long = years.melt(id_vars="YEAR", var_name="name", value_name="sea")
    long["month"] = pd.to_datetime(long["YEAR"].astype(str) + long["name"], format="%Y%b")
    return long.set_index("month")[["sea"]].sort_index()


@salt.task
def join_months(co2: pd.DataFrame, sea: pd.DataFrame) -> pd.DataFrame:
    """What both records have, with CO₂'s growth within a year, and how much warmer the sea is than it mostly is."""
    table = co2.join(sea, how="inner")
    table["growth"] = table["co2"].diff(12)
    mean = table.groupby(table.index.month)["sea"].transform("mean")
    table["warmer"] = table["sea"] - mean
    return table


@salt.task
def write(months: pd.DataFrame, ctx: salt.TaskContext) -> salt.FileValue:
    months.to_parquet(ctx.folder / "months.parquet")
    return ctx.file("months.parquet", media_type="application/vnd.apache.parquet")


@dataclass
class Report:
    months: int
    growth: dict[str, float]
    """Of CO₂, in ppm a year, by decade."""
    lag: int
    """Months by which CO₂'s growth follows the sea's warmth."""
    correlation: float
    """Of the two, at that lag."""
    table: salt.FileValue


@salt.task
def report(months: pd.DataFrame, table: salt.FileValue) -> Report:
    decades = months["growth"].groupby(months.index.year // 10 * 10).mean()
    lags = pd.Series({lag: months["growth"].corr(months["warmer"].shift(lag)) for lag in range(25)})
    return Report(
        months=len(months),
        growth={f"{decade}s": round(growth, 2) for decade, growth in decades.items()},
        lag=int(lags.idxmax()),
        correlation=round(lags.max(), 2),
        table=table,
    )


@salt.workflow
async def climate() -> Report:
    """Tables go from task to task as Arrow files: the workflow sees none of them."""
    months = join_months(salt.pass_on(read_co2()), salt.pass_on(read_sea()))
    table = write(salt.pass_on(months))
    return await report(salt.pass_on(months), salt.pass_on(table))


if __name__ == "__main__":
    salt.main()
