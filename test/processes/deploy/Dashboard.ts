/** What the rules and the dashboard in `deploy/` ask Prometheus for. */
import { readFileSync } from "node:fs"
import { join } from "node:path"

const deploy = join(import.meta.dirname, "../../../deploy")

export const nodeRules = readFileSync(join(deploy, "prometheus/flaredb.rules.yml"), "utf8")
export const actorRules = readFileSync(join(deploy, "prometheus/actors.rules.yml"), "utf8")
export const dashboard = readFileSync(join(deploy, "grafana/flaredb.json"), "utf8")

interface Panel {
  readonly type: string
  readonly title: string
  readonly targets?: ReadonlyArray<{ readonly expr: string }>
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number }
}

/** The panels of the dashboard, without its headings. */
export const panels = (): ReadonlyArray<Panel> =>
  (JSON.parse(dashboard) as { readonly panels: ReadonlyArray<Panel> }).panels.filter(({ type }) => type !== "row")

/** The expressions of a panel, with what Grafana puts in place of its variables. */
export const expressionsOf = ({ targets = [] }: Panel): ReadonlyArray<string> =>
  targets.map(({ expr }) =>
    expr.replaceAll("$__rate_interval", "1m").replaceAll("$cluster", "flaredb").replaceAll("$node", ".*")
  )

/** The metrics of nodes that a text names, without what a histogram adds to them and without what rules record. */
export const metricsIn = (text: string): ReadonlySet<string> =>
  new Set(
    [...text.matchAll(/(?<![:\w])flaredb_(?!actors_)[a-z0-9_]+(?![:\w])/g)]
      .map(([name]) => name.replace(/_(?:bucket|sum|count)$/, ""))
  )

/** What a scrape adds to each series. */
const ofScrapes: ReadonlySet<string> = new Set(["cluster", "instance", "job", "node"])

/** A condition on a label, as `name{label="value"}` has it; without a value when that is a pattern. */
export interface Selected {
  readonly metric: string
  readonly label: string
  readonly value: string | undefined
}

/** The conditions on labels of nodes' metrics in a text, but those that a scrape adds. */
export const selectedIn = (text: string): ReadonlyArray<Selected> =>
  [...text.matchAll(/(?<![:\w])(flaredb_(?!actors_)\w+)\{([^}]*)\}/g)].flatMap(([, metric = "", conditions = ""]) =>
    [...conditions.matchAll(/(\w+)(=~|!~|!=|=)"([^"]*)"/g)]
      .filter(([, label = ""]) => !ofScrapes.has(label))
      .map(([, label = "", operator, value]) => ({ metric, label, value: operator === "=" ? value : undefined }))
  )

/** Whether a page of metrics has a series that a condition is about. */
export const hasSelected = (page: string, { label, metric, value }: Selected): boolean =>
  page.split("\n").some((line) =>
    line.startsWith(`${metric}{`) && line.includes(value === undefined ? `${label}="` : `${label}="${value}"`)
  )

/** Metrics of the schedule of backups, which no node has. */
export const ofSchedules: ReadonlySet<string> = new Set(["flaredb_backup_newest_timestamp_seconds"])
