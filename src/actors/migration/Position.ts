/**
 * How far a table is copied, kept in FlareDB beside what was copied: a migration that is started again goes on there,
 * on any machine.
 *
 * ```
 * <prefix> migration/<cluster>/<table>   the source, the place of the last row, how many rows came before it
 * ```
 */
import { Effect, Option } from "effect"
import type { KeyValue } from "../../client/KeyValue.ts"
import { Compare, Op } from "../../client/Txn.ts"
import { encodeName } from "../persistence/Keys.ts"
import type { Part } from "./Part.ts"
import { OtherSource, TargetNotEmpty, UnknownPosition, writing } from "./Failures.ts"

export interface Position {
  /** The database, as `database@oid`. */
  readonly source: string
  readonly after: string
  readonly rows: number
  readonly done: boolean
}

const format = 1

export class Positions {
  private readonly kv: KeyValue["Service"]
  private readonly base: string
  private readonly source: string

  constructor(
    kv: KeyValue["Service"],
    { cluster, prefix }: { readonly cluster: string; readonly prefix: string },
    source: string
  ) {
    this.kv = kv
    this.base = `${prefix}migration/${encodeName(cluster)}/`
    this.source = source
  }

  /**
   * The position of each part. When none was begun, the places in FlareDB must be empty, and all parts begin in one
   * step.
   */
  readonly begin = Effect.fnUntraced({ self: this }, function*(this: Positions, parts: ReadonlyArray<Part>) {
    const known = yield* Effect.forEach(parts, (part) => this.read(part))
    const begun: Position = { source: this.source, after: "", rows: 0, done: false }
    const fresh = parts.filter((_, i) => known[i] === undefined)
    for (const part of fresh) {
      const { entries } = yield* this.kv.scan(part.target, { limit: 1, keysOnly: true })
      if (entries.length > 0) return yield* new TargetNotEmpty({ table: part.table, keys: part.target })
    }
    if (fresh.length > 0) {
      yield* this.kv.transact({
        if: fresh.map(({ table }) => Compare.missing(this.keyOf(table))),
        do: fresh.map(({ table }) => Op.put(this.keyOf(table), encode(begun)))
      })
    }
    return known.map((position) => position ?? begun)
  })

  /** The position of a part; `undefined` when its copy was not begun. */
  readonly read = Effect.fnUntraced({ self: this }, function*(this: Positions, { table }: Part) {
    const key = this.keyOf(table)
    const found = yield* this.kv.get(key)
    if (Option.isNone(found)) return undefined
    const position = decode(found.value.text)
    if (position === undefined) return yield* new UnknownPosition({ key })
    if (position.source !== this.source) {
      return yield* new OtherSource({ table, source: this.source, began: position.source })
    }
    return position
  })

  store(table: string, position: Omit<Position, "source">) {
    return writing(table, "position")(this.kv.put(this.keyOf(table), encode({ source: this.source, ...position })))
  }

  private keyOf(table: string): string {
    return `${this.base}${encodeName(table)}`
  }
}

const encode = (position: Position): string => JSON.stringify({ v: format, ...position })

const decode = (text: string): Position | undefined => {
  try {
    const { after, done, rows, source, v } = JSON.parse(text) as Record<string, unknown>
    return v === format && typeof after === "string" && typeof source === "string" && typeof rows === "number"
      ? { source, after, rows, done: done === true }
      : undefined
  } catch {
    return undefined
  }
}
