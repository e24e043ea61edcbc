/** How far something has come: a number in a row of its own, which every process only raises. */
import { Effect, Option } from "effect"
import type { EventJournal } from "effect/eventlog"
import type { Conflict } from "../../FlareDbError.ts"
import type { KeyValue, ReadFailure, WriteFailure } from "../../client/KeyValue.ts"
import { Compare } from "../../client/Txn.ts"
import { outcomeOf } from "../Outcome.ts"
import { decodeNumber, encodeNumber } from "./Rows.ts"

/** Times that a write is repeated whose answer was lost. */
const maxRepeats = 3

export interface Position {
  /** 0 when it was never raised. */
  readonly value: number
  /** Holds until somebody raises it. */
  readonly unchanged: Compare
}

export const position = (kv: KeyValue["Service"], key: string): Effect.Effect<Position, ReadFailure> =>
  Effect.map(kv.get(key, { consistency: "linearizable" }), (row) => ({
    value: Option.isNone(row) ? 0 : decodeNumber(row.value),
    unchanged: Compare.modRevision(key).equals(Option.isNone(row) ? 0 : row.value.modRevision)
  }))

/** Repeats what may have taken effect, and takes effect once however often it is done. */
export const repeated = <A, E extends ReadFailure | WriteFailure | Conflict, R>(
  effect: Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  Effect.retry(effect, {
    times: maxRepeats,
    while: (failure) => failure._tag !== "Conflict" && outcomeOf(failure) === "unknown"
  })

/** Raises it to what `to` says of its value; a lower value changes nothing. */
export const raise = (kv: KeyValue["Service"], key: string, to: (current: number) => number) =>
  repeated(kv.modify(key, (row) => {
    const current = Option.isNone(row) ? 0 : decodeNumber(row.value)
    return encodeNumber(Math.max(current, to(current)))
  }))

/** The sequence behind all of these. */
export const sequenceBehind = (entries: ReadonlyArray<EventJournal.RemoteEntry>): number =>
  entries.reduce((next, { remoteSequence }) => Math.max(next, remoteSequence + 1), 0)

/** The sequence behind those that were acknowledged without a gap, from `next` on. */
export const acknowledgedFrom = (
  next: number,
  acks: ReadonlyArray<EventJournal.RemoteAck>,
  firstSequence = 0
): number => {
  const acknowledged = new Set(acks.map(({ sequence }) => sequence))
  let behind = Math.max(next, firstSequence)
  while (acknowledged.has(behind)) behind++
  return behind
}
