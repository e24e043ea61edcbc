/**
 * A state machine of one's own as a service: commands and queries as bytes. A typed client is made of it by encoding
 * one and decoding the other; the key-value store's own is `KeyValue.ts`.
 */
import { Context, Effect } from "effect"
import type {
  AccessError,
  Indeterminate,
  InvalidArgument,
  Overloaded,
  Unavailable,
  WrongCluster
} from "../FlareDbError.ts"
import type { Pipelines } from "./session/Pipelines.ts"
import type { OperationOptions, ReadFailure, ReadOptions } from "./session/Requests.ts"

/** How a command fails. `Indeterminate` alone leaves open whether it took effect. */
export type CommandFailure =
  | InvalidArgument
  | Overloaded
  | Unavailable
  | Indeterminate
  | WrongCluster
  | AccessError

/** How a command is sent. */
export interface CommandOptions extends OperationOptions {
  /**
   * The command does no harm when it is carried out twice: then it is sent again when its answer was lost, until the
   * deadline. Without it such a command fails as `Indeterminate` at once. Default false.
   */
  readonly repeatable?: boolean | undefined
}

/**
 * Commands and queries, in bytes, to a state machine of one's own.
 *
 * **When to use**
 *
 * With a cluster of `FlareDb.layerWith`, in place of `KeyValue`: `docs/state-machines.md`.
 *
 * **Details**
 *
 * A command that was acknowledged is on the disks of a majority and was applied. Both take `timeoutMs`
 * milliseconds at most.
 *
 * **Gotchas**
 *
 * There are no sessions here: a command whose answer was lost fails as `Indeterminate`, unless it is `repeatable`.
 */
export class Commands extends Context.Service<Commands, {
  /**
   * Has a command carried out and gives the machine's reply. Returns once a majority holds the command durably and it
   * was applied: it is never lost again.
   */
  readonly write: (command: Uint8Array, options?: CommandOptions) => Effect.Effect<Uint8Array, CommandFailure>

  /** Has a query answered. Reads are repeated until their deadline. */
  readonly read: (query: Uint8Array, options?: ReadOptions) => Effect.Effect<Uint8Array, ReadFailure>
}>()("flaredb/client/Commands") {}

/** The service over pipelines of commands and queries. */
export const make = (pipelines: Pipelines): Commands["Service"] => {
  const { requestTimeoutMs } = pipelines
  return Commands.of({
    write: (command, options) => {
      const pipeline = options?.repeatable === true ? pipelines.repeatable : pipelines.writes
      return Effect.catchTag(
        // A copy, because a node of this process has it in its log when the caller fills the array with the next one.
        Effect.suspend(() =>
          pipeline.submit(new Uint8Array(command), options?.timeoutMs ?? requestTimeoutMs, Effect.succeed)
        ),
        // A command without a session cannot lose one.
        "SessionExpired",
        (error) => Effect.die(error)
      )
    },
    read: (query, options) => {
      const pipeline = pipelines.reads(options?.consistency, options?.readFrom)
      return Effect.catchTag(
        pipeline.submit(query, options?.timeoutMs ?? requestTimeoutMs, Effect.succeed),
        // Reads are repeated instead of being answered by "outcome unknown", and belong to no session.
        ["Indeterminate", "SessionExpired"],
        (error) => Effect.die(error)
      )
    }
  })
}
