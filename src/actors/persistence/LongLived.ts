/**
 * Rows that outlive every lease. For each there is a key that sorts by the end of its time and names it; a sweep
 * deletes both, oldest first, page by page. The two are written in one step, so that they have one revision: a row that
 * was written again since has another, and stays.
 *
 * ```
 * <prefix> x/<time>/<hash of the row's key>   the row's key
 * ```
 */
import { Duration, Effect, Random, Schedule } from "effect"
import type { Scope } from "effect"
import { createHash } from "node:crypto"
import type { KeyValue, KeyValueEntry, ReadFailure, WriteFailure } from "../../client/KeyValue.ts"
import { Compare, Op } from "../../client/Txn.ts"
import type { LogTimeFailure } from "../LogTime.ts"

/** Digits of a time in milliseconds, and the last one, which stands for all later ones and for no end. */
const timeDigits = 15
const neverMs = 10 ** timeDigits - 1

/** Rows of a page, and how many are deleted at a time. */
const pageRows = 200
const concurrency = 50

/** How often a process sweeps. */
const interval = Duration.hours(1)

export class LongLived {
  private readonly kv: KeyValue["Service"]
  private readonly base: string

  constructor(kv: KeyValue["Service"], prefix: string) {
    this.kv = kv
    this.base = `${prefix}x/`
  }

  /** To be written with a row whose time ends then. */
  mark(row: string, endsMs: number): Op<unknown> {
    return Op.put(this.keyOf(row, endsMs), row)
  }

  /** To be written with a row that was marked with one end and gets another, perhaps within the same millisecond. */
  moveMark(row: string, fromMs: number, toMs: number): ReadonlyArray<Op<unknown>> {
    const from = this.keyOf(row, fromMs)
    const to = this.keyOf(row, toMs)
    return from === to ? [Op.put(to, row)] : [Op.put(to, row), Op.delete(from)]
  }

  /** Deletes all rows whose time has ended. */
  sweep(nowMs: number): Effect.Effect<void, ReadFailure | WriteFailure> {
    const due = ({ keyText }: KeyValueEntry) => this.endOf(keyText) <= Math.min(nowMs, neverMs - 1)
    return Effect.gen({ self: this }, function*() {
      for (;;) {
        const page = yield* this.kv.scan(this.base, { limit: pageRows })
        const ended = page.entries.filter(due)
        yield* Effect.forEach(ended, (mark) => this.forget(mark), { concurrency, discard: true })
        if (ended.length < page.entries.length || page.cursor === undefined) return
      }
    })
  }

  /** Sweeps for as long as the scope lives; processes do so at different times. */
  readonly sweeping = (now: Effect.Effect<number, LogTimeFailure>): Effect.Effect<void, never, Scope.Scope> =>
    Effect.flatMap(
      Random.nextIntBetween(60_000, 600_000),
      (firstMs) =>
        Effect.flatMap(now, (nowMs) => this.sweep(nowMs)).pipe(
          Effect.tapCause((cause) => Effect.logWarning("rows whose time has ended could not be deleted", cause)),
          Effect.ignoreCause,
          Effect.repeat(Schedule.spaced(interval)),
          Effect.delay(firstMs),
          Effect.forkScoped,
          Effect.asVoid
        )
    )

  private forget(mark: KeyValueEntry): Effect.Effect<unknown, WriteFailure> {
    const row = mark.text
    return this.kv.transact({
      if: [Compare.modRevision(row).equals(mark.modRevision)],
      do: [Op.delete(row), Op.delete(mark.key)],
      else: [Op.delete(mark.key)]
    })
  }

  private keyOf(row: string, endsMs: number): string {
    const time = String(Math.min(Math.ceil(endsMs), neverMs)).padStart(timeDigits, "0")
    return `${this.base}${time}/${createHash("sha256").update(row).digest("base64url")}`
  }

  private endOf(key: string): number {
    return Number(key.slice(this.base.length, this.base.length + timeDigits))
  }
}
