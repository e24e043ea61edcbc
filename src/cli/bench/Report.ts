/** Results for people: a header that says what was measured where, and a table. */
import { availableParallelism, cpus, totalmem } from "node:os"
import { table } from "../output/Table.ts"
import type { Result } from "./Measure.ts"

const ms = (value: number): string => value < 10 ? value.toFixed(2) : value < 100 ? value.toFixed(1) : value.toFixed(0)
const percent = (share: number | undefined): string => share === undefined ? "?" : `${Math.round(share * 100)}%`
const whole = (value: number | undefined): string => value === undefined ? "?" : value.toFixed(0)

export const machine = (): string =>
  `${availableParallelism()} cores (${cpus()[0]?.model.trim() ?? "?"}), ${Math.round(totalmem() / 2 ** 30)} GiB, ` +
  `${process.platform}, Node ${process.versions.node}`

const head = [
  "OPERATION",
  "CLIENTS",
  "CONNS",
  "BYTES",
  "PER SECOND",
  "P50 MS",
  "P95 MS",
  "P99 MS",
  "MAX MS",
  "SYNCS/S",
  "COMMITS/SYNC",
  "WIRE B/OP",
  "CPU µS/OP",
  "NODES' CPU",
  "NODES' RSS MIB",
  "LOAD CPU"
]

export const resultTable = (results: ReadonlyArray<Result>): string =>
  table([
    head,
    ...results.map((result) => [
      result.operation,
      String(result.clients),
      String(result.connections),
      String(result.valueBytes),
      whole(result.perSecond),
      ms(result.p50),
      ms(result.p95),
      ms(result.p99),
      ms(result.max),
      whole(result.syncsPerSecond),
      result.operation === "put" || result.operation === "txn" ? result.commitsPerSync.toFixed(1) : "",
      whole(result.bytesPerOperation),
      whole(result.cpuMicrosPerOperation),
      result.nodes.map(({ cpu }) => percent(cpu)).join(" "),
      result.nodes.map(({ rssMiB }) => whole(rssMiB)).join(" "),
      percent(result.loadCpu)
    ])
  ])

export const legend =
  "NODES' figures: the leader's first. CPU µS/OP: of all nodes and the load together. COMMITS/SYNC: at the leader. " +
  "LOAD CPU: its busiest process; near 100% the load is what was measured."
