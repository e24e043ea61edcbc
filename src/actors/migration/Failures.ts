/** Why rows of a SQL database are not copied, or not all of them. */
import { Data, Effect } from "effect"
import { outcomeOf } from "../Outcome.ts"

/** The driver is an optional peer dependency, and it is not installed. */
export class SqlDriverMissing extends Data.TaggedError("SqlDriverMissing")<{
  readonly package: string
  readonly reason: string
}> {
  override get message() {
    return `reading PostgreSQL needs the package ${this.package}, which cannot be loaded (${this.reason}); ` +
      `install it beside flaredb: npm install ${this.package}`
  }
}

/** The address of the source is none, or that of a database which is not supported. */
export class InvalidSource extends Data.TaggedError("InvalidSource")<{ readonly problem: string }> {
  override get message() {
    return `the source ${this.problem}; give the URL of a PostgreSQL database: postgres://USER@HOST:PORT/DATABASE`
  }
}

export class SourceUnreachable extends Data.TaggedError("SourceUnreachable")<{
  readonly source: string
  readonly reason: string
}> {
  override get message() {
    return `no connection to ${this.source}: ${this.reason}`
  }
}

/** The database refused a query. */
export class SourceFailed extends Data.TaggedError("SourceFailed")<{
  readonly table: string
  readonly reason: string
}> {
  override get message() {
    return `reading ${this.table} failed: ${this.reason}`
  }
}

export class TableMissing extends Data.TaggedError("TableMissing")<{ readonly table: string }> {
  override get message() {
    return `there is no table ${this.table} in the schemas of this connection's search_path; check its name or prefix`
  }
}

/** A table has another shape than the versions of Effect that this command knows give it. */
export class UnknownTable extends Data.TaggedError("UnknownTable")<{
  readonly table: string
  readonly problem: string
}> {
  override get message() {
    return `the table ${this.table} is not one that this version knows: ${this.problem}`
  }
}

/** Somebody uses the tables, or the rows in FlareDB. What they do meanwhile would be lost, or done twice. */
export class StillRunning extends Data.TaggedError("StillRunning")<{
  readonly runners: ReadonlyArray<string>
  readonly claimedElements: number
  readonly targetRunners: number
}> {
  override get message() {
    const found = [
      ...this.runners.length === 0
        ? []
        : [`runners on SQL with a heartbeat within a minute: ${this.runners.join(", ")}`],
      ...this.claimedElements === 0 ? [] : [`${this.claimedElements} queue elements claimed within a minute`],
      ...this.targetRunners === 0 ? [] : [`${this.targetRunners} runners on FlareDB`]
    ]
    return `stop all runners, clients and workers first: ${found.join("; ")}. ` +
      "If they are stopped, wait a minute, or say so with --runners-stopped"
  }
}

/** The place in FlareDB holds rows that this migration did not write. */
export class TargetNotEmpty extends Data.TaggedError("TargetNotEmpty")<{
  readonly table: string
  readonly keys: string
}> {
  override get message() {
    return `${this.table} would be copied to ${this.keys} in FlareDB, which holds other rows; ` +
      "take another --prefix or --cluster, or delete them"
  }
}

/** A copy was begun from another database. */
export class OtherSource extends Data.TaggedError("OtherSource")<{
  readonly table: string
  readonly source: string
  readonly began: string
}> {
  override get message() {
    return `the copy of ${this.table} was begun from ${this.began}, not from ${this.source}; ` +
      "go on with that one, or take another --prefix or --cluster"
  }
}

/** A row has no place in FlareDB: it is too large, or not what Effect writes. */
export class RowRefused extends Data.TaggedError("RowRefused")<{
  readonly table: string
  readonly id: string
  readonly problem: string
}> {
  override get message() {
    return `row ${this.id} of ${this.table} cannot be copied: ${this.problem}. Rows before it are copied; ` +
      "change or delete it in the table, and start again"
  }
}

/** FlareDB holds something else under the id of a row. */
export class RowTaken extends Data.TaggedError("RowTaken")<{ readonly table: string; readonly id: string }> {
  override get message() {
    return `row ${this.id} of ${this.table} is in FlareDB with another content; did runners or workers start already?`
  }
}

/** A row of this migration's own has a format of another version. */
export class UnknownPosition extends Data.TaggedError("UnknownPosition")<{ readonly key: string }> {
  override get message() {
    return `the row ${this.key} is no position that this version of flaredb wrote; go on with the version that did`
  }
}

export type MigrationFailure =
  | SourceFailed
  | SourceUnreachable
  | TableMissing
  | UnknownTable
  | StillRunning
  | TargetNotEmpty
  | OtherSource
  | RowRefused
  | RowTaken
  | UnknownPosition

/** What FlareDB answered, below what Effect's services wrapped it in. */
const rootOf = (error: unknown): { readonly _tag?: unknown; readonly message?: unknown } => {
  let current = error
  for (let depth = 0; depth < 5; depth++) {
    const cause = typeof current === "object" && current !== null && "cause" in current ? current.cause : undefined
    if (typeof cause !== "object" || cause === null) break
    current = cause
  }
  return current as { readonly _tag?: unknown; readonly message?: unknown }
}

/** Times that a write of a row is tried, and the first pause between two, in milliseconds. */
const attempts = 6
const firstPauseMs = 250

/**
 * Writes a row. It is repeated when its answer was lost or FlareDB cannot take it now: whatever a migration writes may
 * be written twice. A refusal says which row it was.
 */
export const writing =
  (table: string, id: string) => <A, E>(write: Effect.Effect<A, E>): Effect.Effect<A, E | RowRefused | RowTaken> => {
    const attempt = (left: number, pauseMs: number): Effect.Effect<A, E | RowRefused | RowTaken> =>
      Effect.catch(write, (error): Effect.Effect<A, E | RowRefused | RowTaken> => {
        const root = rootOf(error)
        if (root._tag === "InvalidArgument") {
          return Effect.fail(new RowRefused({ table, id, problem: String(root.message) }))
        }
        if (root._tag === "IdTaken" || root._tag === "RequestFinished") return Effect.fail(new RowTaken({ table, id }))
        const outcome = outcomeOf(root as Parameters<typeof outcomeOf>[0])
        return left > 1 && (outcome === "later" || outcome === "unknown")
          ? Effect.andThen(Effect.sleep(pauseMs), attempt(left - 1, pauseMs * 2))
          : Effect.fail(error)
      })
    return attempt(attempts, firstPauseMs)
  }
