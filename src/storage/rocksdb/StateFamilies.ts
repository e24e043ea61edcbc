/**
 * The two families that a state may be in, `state_a` and `state_b`: which one is active, and what the store itself
 * keeps in them beside the rows of the state machine.
 */
import { Effect } from "effect"
import { CodecError } from "../../bytes/CodecError.ts"
import { isStateKey, sizeProblem, stateEnd } from "../../protocol/StateRows.ts"
import type { LogPoint } from "../../raft/Types.ts"
import { LogIndex, origin, Term } from "../../raft/Types.ts"
import { decodeActiveFamily, decodePoint, encodeRecord, stateKeys } from "../Codec.ts"
import type { StateChange } from "../StateStore.ts"
import type { StorageError } from "../StorageError.ts"
import { StorageCorruption } from "../StorageError.ts"
import { recoverBatches } from "./BatchNumbers.ts"
import type { Family, Operation } from "./Operation.ts"
import type { Reader } from "./Reader.ts"

/** Keys that begin with this byte belong to the store itself; a state machine's keys begin with 0x01 or more. */
const reservedPrefix = 0x00

const appliedKey = Uint8Array.of(reservedPrefix, 0x01)

/** Everything in a state family, the store's own keys included. */
export const wholeFamily = { gte: Uint8Array.of(reservedPrefix), lt: stateEnd }

const pointOf = (record: { readonly index: number; readonly term: number }): LogPoint => ({
  index: LogIndex(record.index),
  term: Term(record.term)
})

/** The state family in use, the applied point inside it, and the snapshot it came from, if it came from one. */
export const recoverState = Effect.fnUntraced(function*(reader: Reader, path: string) {
  const corrupt = (detail: string) => new StorageCorruption({ path, detail, safe: "the log" })
  const activeRecord = yield* reader.get("raft_state", stateKeys.activeFamily)
  if (activeRecord === undefined) return yield* corrupt("raft_state does not say which state family is active")
  const active = decodeActiveFamily(activeRecord)
  if (active instanceof CodecError) return yield* corrupt(active.message)
  const { family } = active
  const installed = active.installed === undefined ? undefined : pointOf(active.installed)
  const applied = yield* readApplied(reader, family, path)
  if (installed !== undefined && applied.index < installed.index) {
    return yield* corrupt(
      `${family} came from a snapshot up to ${installed.index}, but it ends at ${applied.index}`
    )
  }
  return { family, applied, installed, batches: yield* recoverBatches(reader, family, path) }
})

/** The family that is not active. */
export const otherFamily = (family: Family): Family => family === "state_a" ? "state_b" : "state_a"

/** A state that a snapshot replaced, and that is kept to go back to. */
export interface Replaced {
  /** Its applied point. */
  readonly point: LogPoint
  /** What of it is missing, if anything is: then there is no going back to it. */
  readonly damage: StorageCorruption | undefined
}

/** What of a family is missing, if anything is. */
const damageIn = (
  reader: Reader,
  family: Family,
  path: string
): Effect.Effect<StorageCorruption | undefined, StorageError> =>
  Effect.as(recoverBatches(reader, family, path), undefined).pipe(
    Effect.catchTag("StorageCorruption", (damage) => Effect.succeed(damage))
  )

/**
 * The state in the inactive family that the active one replaced. A state there that is ahead was about to be installed,
 * and is none.
 */
export const readReplaced = (
  reader: Reader,
  path: string,
  { applied, family, installed }: Effect.Success<ReturnType<typeof recoverState>>
): Effect.Effect<Replaced | undefined, StorageError> =>
  readApplied(reader, otherFamily(family), path).pipe(
    Effect.catchTag("StorageCorruption", () => Effect.succeed(origin)),
    Effect.flatMap((point) =>
      installed === undefined || point.index === 0 || point.index > applied.index
        ? Effect.succeed(undefined)
        : Effect.map(damageIn(reader, otherFamily(family), path), (damage) => ({ point, damage }))
    )
  )

/** The applied point of a family; `origin` when nothing was ever applied. */
export const readApplied = (reader: Reader, family: Family, path: string): Effect.Effect<LogPoint, StorageError> =>
  Effect.flatMap(reader.get(family, appliedKey), (bytes): Effect.Effect<LogPoint, StorageError> => {
    if (bytes === undefined) return Effect.succeed(origin)
    const point = decodePoint(bytes)
    return point instanceof CodecError
      ? Effect.fail(new StorageCorruption({ path, detail: point.message, safe: "the log" }))
      : Effect.succeed(pointOf(point))
  })

/** Moves the applied point of a family. */
export const putApplied = (point: LogPoint): Operation => ({
  _tag: "Put",
  key: appliedKey,
  value: encodeRecord({ index: point.index, term: point.term })
})

/** @throws RangeError when a change would store a row that no snapshot could carry: a bug of the state machine. */
export const checkChange = (change: StateChange): void => {
  const key = change._tag === "DeleteRange" ? change.start : change.key
  if (!isStateKey(key)) throw new RangeError(`the key ${Buffer.from(key).toString("hex")} is none of a state machine`)
  if (change._tag !== "Put") return
  const problem = sizeProblem(key.byteLength, change.value.byteLength)
  if (problem !== undefined) throw new RangeError(problem.message)
}
