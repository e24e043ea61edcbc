/**
 * Who did what, one line of JSON for each operation: when, at which node, under which name, from where, which keys, and
 * what became of it. Values are never in it. A line is written once the operation has its outcome.
 *
 * Lines wait in memory, in a queue with a bound, and are written in batches without a sync. What happens when they
 * cannot be written is a choice: by default the node goes on, and counts and logs what was lost. With `strict` it
 * refuses operations before they are proposed, until lines can be written again.
 */
import { Clock, Effect, Latch, Metric } from "effect"
import type { Scope } from "effect"
import type { BoundedTable } from "../BoundedTables.ts"
import { watchTables } from "../BoundedTables.ts"
import { Unavailable } from "../FlareDbError.ts"
import type { AuditFile, AuditFileError } from "./AuditFile.ts"
import { openAuditFile } from "./AuditFile.ts"

/** `writes`: changes, what administrators do, and refusals. `all`: reads and watches too. */
export type AuditEvents = "writes" | "all"

export interface AuditLogOptions {
  readonly file: string
  readonly events: AuditEvents
  /** Refuse operations that could not be written down. */
  readonly strict: boolean
  /** Bytes of a file, of which there are two. Default 64 MiB. */
  readonly maxFileBytes?: number | undefined
}

const defaultAuditFileBytes = 64 * 1024 * 1024

/** Lines that wait to be written, those of operations under way included. */
export const maxAuditLines = 100_000

/** Lines of one write. */
const maxBatchLines = 4_096

/**
 * Lines of callers that are no users, in one window of {@link strangerWindowMs}. A stranger can be refused
 * thousands of times in a second, and could have what others did rotated out of the files.
 */
export const maxStrangerLines = 60

/** Milliseconds. */
export const strangerWindowMs = 60_000

/** Pause before the file is tried again after it could not be written, in milliseconds. */
const retryMs = 1_000

/** Audited operations that are in no file. Not 0 means that the disk is full, or slower than the clients. */
const dropped = Metric.counter("flaredb_audit_dropped_total", {
  description: "lines of the audit log that could not be written",
  incremental: true
})

/** One operation. */
export interface AuditRecord {
  /** `undefined` where callers are not asked who they are. */
  readonly name: string | undefined
  /** Where the caller's connection comes from. */
  readonly from: string
  readonly operation: string
  readonly ranges: ReadonlyArray<string>
  /**
   * `ok`: carried out, or begun when it is a stream or a transfer of leadership. `refused`: certainly not carried
   * out, with the error's tag behind a colon. `unknown`: perhaps carried out.
   */
  readonly outcome: "ok" | "unknown" | `refused: ${string}`
}

export class AuditLog {
  readonly events: AuditEvents
  private readonly options: AuditLogOptions & { readonly nodeId: number }
  private readonly file: AuditFile
  private readonly nowMs: () => number
  private readonly onDropped: (count: number) => void
  private lines: Array<string> = []
  /** Of `lines`, those in the write that is under way. */
  private writing = 0
  /** Lines that operations under way will have. */
  private reserved = 0
  /** Lines of strangers in this window, those that were kept back included. */
  private strangers = 0
  private failure: AuditFileError | undefined
  private readonly waiting = Latch.makeUnsafe(false)

  private constructor(
    options: AuditLog["options"],
    file: AuditFile,
    nowMs: () => number,
    onDropped: (count: number) => void
  ) {
    this.options = options
    this.events = options.events
    this.file = file
    this.nowMs = nowMs
    this.onDropped = onDropped
  }

  /** A log that is written until the scope closes, and then to its last line. `open` is how its file is opened. */
  static readonly make = Effect.fnUntraced(function*(
    options: AuditLog["options"],
    open: typeof openAuditFile = openAuditFile
  ): Effect.fn.Return<AuditLog, AuditFileError, Scope.Scope> {
    const clock = yield* Clock.Clock
    const context = yield* Effect.context<never>()
    dropped.updateUnsafe(0, context)
    const file = yield* Effect.acquireRelease(
      open(options.file, options.maxFileBytes ?? defaultAuditFileBytes),
      (opened) => opened.close
    )
    const log = new AuditLog(
      options,
      file,
      () => clock.currentTimeMillisUnsafe(),
      (count) => dropped.updateUnsafe(count, context)
    )
    yield* Effect.addFinalizer(() =>
      Effect.suspend(() => {
        log.endWindow()
        return log.writeAll
      })
    )
    yield* Effect.forkScoped(log.writer)
    yield* Effect.forkScoped(
      Effect.forever(Effect.andThen(Effect.sleep(strangerWindowMs), Effect.sync(() => log.endWindow())))
    )
    yield* watchTables([log.table])
    return log
  })

  get table(): BoundedTable {
    return {
      table: "audit_lines",
      entries: () => this.lines.length + this.reserved,
      limit: maxAuditLines,
      setting: "maxAuditLines"
    }
  }

  /**
   * Keeps room for the lines of `count` operations. Refuses them when the log is strict and they could not be written.
   * Each line that was reserved is to be given to {@link write}, or its room back with {@link release}.
   */
  reserve(count: number): Unavailable | undefined {
    if (this.options.strict) {
      if (this.failure !== undefined) {
        return new Unavailable({ reason: `${this.failure.message}; nothing is done that cannot be audited` })
      }
      if (this.lines.length + this.reserved + count > maxAuditLines) {
        return new Unavailable({ reason: `maxAuditLines (${maxAuditLines}) operations wait for the audit log` })
      }
    }
    this.reserved += count
    return undefined
  }

  /** There will be no such lines. */
  release(count: number): void {
    this.reserved -= count
  }

  /** Writes a line for which there is room. */
  write(record: AuditRecord): void {
    this.reserved -= 1
    this.note(record)
  }

  /** {@link note} for a caller that is no user: those beyond {@link maxStrangerLines} are counted in one line. */
  noteStranger(record: AuditRecord): void {
    this.strangers += 1
    if (this.strangers <= maxStrangerLines) this.note(record)
  }

  /** Ends the window for strangers. */
  private endWindow(): void {
    const more = this.strangers - maxStrangerLines
    this.strangers = 0
    if (more <= 0) return
    this.note({
      name: undefined,
      from: "-",
      operation: `${more} more of callers that are no users`,
      ranges: [],
      outcome: "refused: many"
    })
  }

  /** Writes a line that nothing is refused for: a refusal. */
  note({ from, name, operation, outcome, ranges }: AuditRecord): void {
    if (this.lines.length >= maxAuditLines) return this.onDropped(1)
    const time = new Date(this.nowMs()).toISOString()
    const line = { time, node: this.options.nodeId, name: name ?? "-", from, operation, ranges, outcome }
    if (this.lines.push(JSON.stringify(line)) === 1) this.waiting.openUnsafe()
  }

  /** Writes the next lines. An interruption waits for it: the file goes on by itself. */
  private readonly writeBatch: Effect.Effect<void, AuditFileError> = Effect.uninterruptible(Effect.suspend(() => {
    this.writing = Math.min(this.lines.length, maxBatchLines)
    const text = `${this.lines.slice(0, this.writing).join("\n")}\n`
    return Effect.matchEffect(this.file.append(text), {
      onSuccess: () =>
        Effect.sync(() => {
          this.lines.splice(0, this.writing)
          this.failure = undefined
        }),
      onFailure: (error) => {
        if (!this.options.strict) this.onDropped(this.lines.splice(0, this.writing).length)
        return Effect.fail(error)
      }
    })
  }))

  private readonly writer: Effect.Effect<never> = Effect.forever(
    this.waiting.whenOpen(Effect.suspend(() => {
      if (this.lines.length === 0) {
        this.waiting.closeUnsafe()
        return Effect.void
      }
      return Effect.catch(this.writeBatch, (error) => {
        const isNew = this.failure === undefined
        this.failure = error
        return Effect.andThen(isNew ? Effect.logError(this.consequence(error)) : Effect.void, Effect.sleep(retryMs))
      })
    }))
  )

  /** What waits at the end. */
  private readonly writeAll: Effect.Effect<void> = Effect.suspend(() =>
    this.lines.length === 0
      ? Effect.void
      : Effect.matchEffect(this.writeBatch, {
        onSuccess: () => this.writeAll,
        onFailure: (error) => {
          this.onDropped(this.lines.length)
          return Effect.logError(`${error.message}; ${this.lines.length} lines are lost`)
        }
      })
  )

  private consequence({ message }: AuditFileError): string {
    return this.options.strict
      ? `${message}. Operations are refused until it can be written`
      : `${message}. Operations go on without it, and flaredb_audit_dropped_total counts them`
  }
}
