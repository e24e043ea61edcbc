/** What `bench:actors` can measure. */
import type { IdentityFiles } from "../../src/cli/input/IdentityFlags.ts"

/** What is measured: calls a second while so many are in flight, or how late things are. */
export type Work = "entity" | "atomic" | "queue" | "workflow"

export type Point =
  | { readonly kind: "throughput"; readonly name: string; readonly work: Work; readonly inFlight: number }
  /** Messages with a time, all of them waiting at once: how long after it they are handled. */
  | { readonly kind: "lateness"; readonly name: string; readonly messages: number }
  /** One of two runners is killed: until every entity that it had answers again. */
  | { readonly kind: "takeover"; readonly name: string; readonly entities: number }
  /** Requests a second while others wait and more are kept, in relation to an empty store. */
  | {
    readonly kind: "backlog"
    readonly name: string
    readonly inFlight: number
    readonly waiting: number
    readonly processed: number
  }

const throughput = (work: Work, inFlight: number): Point => ({
  kind: "throughput",
  name: `${work}-${inFlight}`,
  work,
  inFlight
})

export interface Counts {
  readonly waiting: number
  readonly processed: number
}

export const points = ({ processed, waiting }: Counts): ReadonlyArray<Point> => [
  throughput("entity", 1),
  throughput("entity", 64),
  throughput("entity", 256),
  throughput("atomic", 64),
  throughput("queue", 1),
  throughput("queue", 16),
  throughput("workflow", 1),
  throughput("workflow", 16),
  { kind: "lateness", name: "deliver-at", messages: 100 },
  { kind: "takeover", name: "runner-killed", entities: 64 },
  { kind: "backlog", name: "backlog", inFlight: 64, waiting, processed }
]

/** Rounds of a point that takes minutes; the others are in every round. */
export const maxRounds = ({ kind }: Point): number => kind === "backlog" ? 1 : kind === "takeover" ? 3 : Infinity

/** What FlareDB has to show: at least so many times what PostgreSQL does, or figures of its own. */
export type Must =
  | { readonly kind: "ratio"; readonly atLeast: number }
  | { readonly kind: "lateness"; readonly p50: number; readonly max: number }
  | { readonly kind: "takeover"; readonly ms: number }
  | { readonly kind: "backlog"; readonly atLeast: number }

const ratio = (atLeast: number): Must => ({ kind: "ratio", atLeast })

export const musts: Readonly<Record<string, Must>> = {
  "entity-1": ratio(1.2),
  "entity-64": ratio(4),
  "entity-256": ratio(4),
  "atomic-64": ratio(4),
  "queue-1": ratio(1),
  "queue-16": ratio(2),
  "workflow-1": ratio(1.2),
  "workflow-16": ratio(3),
  "deliver-at": { kind: "lateness", p50: 10, max: 100 },
  "runner-killed": { kind: "takeover", ms: 6_000 },
  backlog: { kind: "backlog", atLeast: 0.8 }
}

/** What a load process says of one point; times are milliseconds. */
export type Result =
  | {
    readonly kind: "throughput"
    readonly perSecond: number
    readonly p50: number
    readonly p99: number
    /** Processor time of one call, in milliseconds: of the runner, and of what is behind the back end. */
    readonly runnerCpu: number
    readonly storeCpu?: number | undefined
    /** Of FlareDB: entries of the log for each call. */
    readonly entries?: number | undefined
  }
  | { readonly kind: "lateness"; readonly p50: number; readonly max: number }
  | { readonly kind: "takeover"; readonly ms: number; readonly moved: number }
  /** `waiting` and `processed` are what there was time to make. */
  | {
    readonly kind: "backlog"
    readonly empty: number
    readonly full: number
    readonly waiting: number
    readonly processed: number
  }

/** What a load process is told, as JSON in its first argument. */
export interface Plan {
  readonly target: Target
  readonly points: ReadonlyArray<Point>
  readonly warmUpMs: number
  readonly measureMs: number
  /** Load before the first point, the same for every back end: code gets faster while it is compiled. */
  readonly heatUpMs: number
  /** Most time to make the messages of a backlog. */
  readonly fillMs: number
}

/** A back end that runs. */
export type Target =
  | { readonly backEnd: "memory" }
  | {
    readonly backEnd: "sql-pg"
    readonly host: string
    readonly port: number
    readonly username: string
    readonly database: string
    readonly pids: ReadonlyArray<number>
  }
  | {
    readonly backEnd: "flaredb"
    readonly endpoints: string
    /** What a runner shows the nodes. */
    readonly identity: IdentityFiles
    readonly pids: ReadonlyArray<number>
    /** The nodes' HTTP ports. */
    readonly http: ReadonlyArray<string>
  }

export const backEnds = ["memory", "sql-pg", "flaredb"] as const
export type BackEnd = typeof backEnds[number]

/** Whether the back end has what is measured: a memory is one process's, and nobody takes over. */
export const has = (backEnd: BackEnd, point: Point): boolean => backEnd !== "memory" || point.kind !== "takeover"
