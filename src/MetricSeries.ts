/**
 * The series of a metric: a metric of its own for each of its labels, made when it is first asked for and kept.
 *
 * `Metric.withAttributes` takes ten times as long to update a metric of several series (effect 4.1.0):
 * the metric remembers the name of one series only, and makes the name of each other one again.
 */

/**
 * Remembers what `make` made for labels. Labels are such as the program has, or few: each set of them is kept for as
 * long as the process lives, here as in the registry of metrics.
 */
export const seriesOf = <Labels extends ReadonlyArray<string>, Series>(
  make: (...labels: Labels) => Series
): (...labels: Labels) => Series => {
  const kept = new Map<string, Series>()
  return (...labels) => {
    // Text that is also none of the others': JSON keeps the labels apart, whatever is in them.
    const name = labels.length === 1 ? labels[0] as string : JSON.stringify(labels)
    let series = kept.get(name)
    if (series === undefined) {
      series = make(...labels)
      kept.set(name, series)
    }
    return series
  }
}
