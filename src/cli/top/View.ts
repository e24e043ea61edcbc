/** The figures of the nodes as text: a table, and a screen with what there is to say of one node. */
import { printable } from "../../Printable.ts"
import { formatDuration } from "../../DurationText.ts"
import { fills } from "../nodes/MetricsPage.ts"
import { formatBytes } from "../output/Progress.ts"
import { table } from "../output/Table.ts"
import type { NodeRates, NodeSample } from "./Sample.ts"

const none = "-"

const shown = <A>(value: A | undefined, text: (value: A) => string): string => value === undefined ? none : text(value)

const perSecond = (value: number | undefined): string =>
  shown(value, (rate) => rate >= 100 ? String(Math.round(rate)) : rate.toFixed(1))

const pair = (p50: number | undefined, p99: number | undefined): string =>
  p50 === undefined || p99 === undefined ? none : `${p50.toFixed(1)}/${p99.toFixed(1)}`

const head = [
  "NODE",
  "ROLE",
  "TERM",
  "APPLIED",
  "LAG",
  "WRITES/S",
  "READS/S",
  "SYNC ms",
  "COMMIT ms",
  "MEMORY",
  "DISK FREE",
  "CONNS",
  "UP",
  "FULLEST TABLE"
]

const row = (node: NodeRates): ReadonlyArray<string> => {
  const { diskBytes, diskFreeBytes, fullest } = node
  const share = diskFreeBytes === undefined || diskBytes === undefined || diskBytes === 0
    ? ""
    : ` ${Math.round((100 * diskFreeBytes) / diskBytes)}%`
  return [
    shown(node.node, String) === none ? node.endpoint : String(node.node),
    node.role,
    shown(node.term, String),
    shown(node.applied, String),
    shown(node.lag, String),
    perSecond(node.commandsPerSecond),
    perSecond(node.readsPerSecond),
    pair(node.syncP50Ms, node.syncP99Ms),
    pair(node.commitP50Ms, node.commitP99Ms),
    shown(node.memoryBytes, formatBytes),
    `${shown(diskFreeBytes, formatBytes)}${share}`,
    shown(node.connections, String),
    shown(node.uptimeMs, formatDuration),
    fullest === undefined || fullest.entries === 0
      ? none
      : `${fullest.table} ${Math.round((100 * fullest.entries) / fullest.limit)}%`
  ]
}

/** What keeps nodes from being shown whole, a line each. */
const problems = (nodes: ReadonlyArray<NodeRates>): ReadonlyArray<string> =>
  nodes.flatMap(({ endpoint, node, problem }) =>
    problem === undefined ? [] : [`${node === undefined ? endpoint : `node ${node}`}: ${printable(problem)}`]
  )

export const tableText = (nodes: ReadonlyArray<NodeRates>): string =>
  [table([head, ...nodes.map(row)]), ...problems(nodes)].join("\n")

/** What one node says of its peers, its snapshots and its tables. */
const details = ({ answer, page }: NodeSample): ReadonlyArray<string> => {
  const { report } = answer
  if (report === undefined) return [`${answer.endpoint}: ${printable(answer.problem ?? "no answer")}`]
  const matches = report.matches.map(({ match, peer, state }) =>
    `node ${peer} ${state}, ${Math.max(0, report.lastIndex - match)} entries behind`
  )
  const lines = [
    `node ${report.nodeId} at ${answer.endpoint}, version ${printable(report.version)}, log ${report.firstIndex} to ` +
    `${report.lastIndex}, commit ${report.commit}`,
    ...matches.length === 0 ? [] : [`followers: ${matches.join("; ")}`],
    ...report.peers.map(({ connected, dropped, peer }) =>
      `link to node ${peer}: ${connected ? "connected" : "NOT connected"}, ${dropped} messages dropped`
    )
  ]
  const full = page === undefined ? [] : fills(page).filter(({ entries }) => entries > 0).slice(0, 8)
  return [...lines, ...full.map(({ entries, limit, table }) => `  ${table}: ${entries} of ${limit}`)]
}

export interface ScreenState {
  readonly columns: number
  readonly rows: number
  /** The node whose details are shown. */
  readonly selected: number
  readonly intervalMs: number
  readonly time: string
}

const inverse = (text: string): string => `\u001b[7m${text}\u001b[27m`

/** The lines of the screen, no wider and no more than fit. */
export const screen = (
  figures: ReadonlyArray<NodeRates>,
  nodes: ReadonlyArray<NodeSample>,
  { columns, intervalMs, rows, selected, time }: ScreenState
): ReadonlyArray<string> => {
  const fit = (line: string) => line.length > columns ? `${line.slice(0, Math.max(0, columns - 1))}…` : line
  const leader = figures.find(({ role }) => role === "leader")
  const title = `flaredb top  ${time}  every ${formatDuration(intervalMs)}  ${
    leader === undefined ? "NO LEADER" : `node ${leader.node} leads term ${leader.term}`
  }`
  const [header = "", ...body] = table([head, ...figures.map(row)]).split("\n")
  const node = nodes[selected]
  const lines = [
    fit(title),
    "",
    fit(header),
    ...body.map((line, i) => i === selected ? inverse(fit(line).padEnd(Math.min(columns, header.length))) : fit(line)),
    ...problems(figures).map(fit),
    "",
    ...(node === undefined ? [] : details(node)).map(fit)
  ]
  const keys = fit("q quit   up/down node   + - interval   space now")
  return [...lines.slice(0, Math.max(0, rows - 1)), keys].slice(0, rows)
}
