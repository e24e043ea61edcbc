/**
 * A state machine of one's own as a service: commands and queries as bytes. A typed client is made of it by encoding
 * one and decoding the other; the key-value store's own is `KeyValue.ts`.
 */
import { Clock, Context, Effect } from "effect"
import type { Indeterminate, InvalidArgument, Overloaded, Unavailable } from "../FlareDbError.ts"
import type { OperationOptions, Pipelines, ReadFailure, ReadOptions } from "./Requests.ts"

/** How a command fails. `Indeterminate` alone leaves open whether it took effect. */
export type CommandFailure = InvalidArgument | Overloaded | Unavailable | Indeterminate

export interface CommandOptions extends OperationOptions {
  /**
   * The command does no harm when it is carried out twice: then it is sent again when its answer was lost, until the
   * deadline. Without it such a command fails as `Indeterminate` at once. Default false.
   */
  readonly repeatable?: boolean | undefined
}

export class Commands extends Context.Service<Commands, {
  /**
   * Has a command carried out and gives the machine's reply. Returns once a majority holds the command durably and it was
   * applied: it is never lost again.
   */
  readonly write: (command: Uint8Array, options?: CommandOptions) => Effect.Effect<Uint8Array, CommandFailure>

  /** Has a query answered. Reads are repeated until their deadline. */
  readonly read: (query: Uint8Array, options?: ReadOptions) => Effect.Effect<Uint8Array, ReadFailure>
}>()("flaredb/client/Commands") {}

export interface CommandPipelines extends Pipelines {
  /** Milliseconds without an answer after which a repeatable command is sent again. */
  readonly attemptTimeoutMs: number
}

/** The service over pipelines of commands and queries. */
export const make = (pipelines: CommandPipelines): Commands["Service"] => {
  const { attemptTimeoutMs, requestTimeoutMs } = pipelines
  const once = (command: Uint8Array, timeoutMs: number): Effect.Effect<Uint8Array, CommandFailure> =>
    // A command without a session cannot lose one.
    Effect.catchTag(pipelines.writes.submit(command, timeoutMs), "SessionExpired", (error) => Effect.die(error))

  /** Sends the command until it is answered. Once an attempt may have been carried out, no failure says otherwise. */
  const until = (
    command: Uint8Array,
    deadlineMs: number,
    doubt: Indeterminate | undefined
  ): Effect.Effect<Uint8Array, CommandFailure> =>
    Effect.flatMap(Clock.currentTimeMillis, (nowMs) => {
      const leftMs = deadlineMs - nowMs
      if (leftMs <= 0 && doubt !== undefined) return Effect.fail(doubt)
      const failed = (error: CommandFailure): Effect.Effect<Uint8Array, CommandFailure> =>
        error._tag === "Indeterminate"
          ? until(command, deadlineMs, error)
          : Effect.fail(doubt !== undefined && error._tag !== "InvalidArgument" ? doubt : error)
      return Effect.catch(once(command, Math.max(1, Math.min(leftMs, attemptTimeoutMs))), (error) =>
        // An attempt's own deadline says nothing about the command's.
        error._tag === "Unavailable" && leftMs > attemptTimeoutMs ? until(command, deadlineMs, doubt) : failed(error))
    })

  return Commands.of({
    write: (command, options) => {
      const timeoutMs = options?.timeoutMs ?? requestTimeoutMs
      return options?.repeatable === true
        ? Effect.flatMap(Clock.currentTimeMillis, (nowMs) => until(command, nowMs + timeoutMs, undefined))
        : once(command, timeoutMs)
    },
    read: (query, options) => {
      const pipeline = options?.consistency === "stale" ? pipelines.staleReads : pipelines.reads
      return Effect.catchTag(
        pipeline.submit(query, options?.timeoutMs ?? requestTimeoutMs),
        // Reads are repeated instead of being answered by "outcome unknown", and belong to no session.
        ["Indeterminate", "SessionExpired"],
        (error) => Effect.die(error)
      )
    }
  })
}
