/**
 * What nearly all calls of `ClientRpcs.ts` and their answers look like: a batch with constants around it. Both sides of
 * a connection write and read these without the interpreter of schemas (`net/BytesTemplate.ts`).
 */
import { Exit } from "effect"
import type { BytesShape } from "../net/BytesTemplate.ts"
import type { CallShapes } from "../net/CallCodecs.ts"
import type { Consistency, ReadFrom } from "./ReadMode.ts"

interface WritePayload {
  readonly commands: Uint8Array
  readonly traces?: ReadonlyArray<unknown>
}

interface ReadPayload {
  readonly consistency: Consistency
  readonly from: ReadFrom
  readonly queries: Uint8Array
  readonly traces?: ReadonlyArray<unknown>
}

interface Answers {
  readonly replies: Uint8Array
  readonly failures: ReadonlyArray<unknown>
}

const readOf = (consistency: Consistency, from: ReadFrom): BytesShape<ReadPayload> => ({
  of: (queries) => ({ consistency, from, queries }),
  bytesOf: (payload) =>
    payload.consistency === consistency && payload.from === from && payload.traces === undefined
      ? payload.queries
      : undefined
})

const commands: BytesShape<WritePayload> = {
  of: (bytes) => ({ commands: bytes }),
  bytesOf: (payload) => payload.traces === undefined ? payload.commands : undefined
}

/** An answer in which nothing failed. */
const replies: BytesShape<Exit.Exit<Answers, unknown>> = {
  of: (bytes) => Exit.succeed({ replies: bytes, failures: [] }),
  bytesOf: (exit) => Exit.isSuccess(exit) && exit.value.failures.length === 0 ? exit.value.replies : undefined
}

export const clientShapes: CallShapes = {
  "client.Write": { payload: [commands], exit: [replies] },
  "client.Read": {
    payload: [
      readOf("linearizable", "leader"),
      readOf("linearizable", "any"),
      readOf("stale", "leader"),
      readOf("stale", "any")
    ],
    exit: [replies]
  }
}
