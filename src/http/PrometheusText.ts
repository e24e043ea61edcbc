/**
 * Makes Effect's text of the metrics one that Prometheus takes.
 *
 * Effect turns attributes such as `node.id` and `node_id` into one label and writes it twice, and puts the `le` of a
 * bucket beside an attribute of that name. Prometheus refuses the whole answer for one such line: the node is down to
 * it, whatever the others say. FlareDB has no such metric, but a program that runs a node may have one.
 */

const series = /^(?<name>[^#{ ]+)\{(?<labels>.*)\} (?<value>\S+)$/
const label = /([^=,]+)="((?:[^"\\]|\\.)*)"/g

/** Labels that Effect adds itself, behind the attributes: they say what the figure is. */
const added = new Set(["le", "quantile"])

const withLabelsOnce = (line: string): string => {
  const { labels, name, value } = series.exec(line)?.groups ?? {}
  if (labels === undefined) return line
  const values = new Map<string, string>()
  let repeats = false
  for (const [, key = "", text = ""] of labels.matchAll(label)) {
    const before = values.get(key)
    if (before !== undefined) repeats = true
    // Joined, as OpenTelemetry does it: what differs in one of them stays a series of its own.
    values.set(key, before === undefined || added.has(key) ? text : `${before};${text}`)
  }
  if (!repeats) return line
  return `${name}{${[...values].map(([key, text]) => `${key}="${text}"`).join(",")}} ${value}`
}

/** The text with each label of a line once. */
export const prometheusText = (text: string): string => text.split("\n").map(withLabelsOnce).join("\n")
