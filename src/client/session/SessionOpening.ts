/** Opens a session at the cluster. */
import type { OpenedSession } from "./OpenedSession.ts"
import { Effect } from "effect"
import { Overloaded, Unavailable } from "../../FlareDbError.ts"
import { encodeCommand } from "../../kv/model/Command.ts"
import { secretBytes } from "../../kv/model/Limits.ts"
import { decodeReply } from "../../kv/model/ReplyCodec.ts"
import { RandomBytes } from "../../RandomBytes.ts"
import type { Pipeline } from "./Pipeline.ts"
import type { PipelineError } from "./OperationFailure.ts"

export interface SessionOpeningOptions {
  readonly ttlMs: number
  readonly timeoutMs: number
  /** Whose session it is, as `flaredb session list` shows it. */
  readonly owner: string
}

/** A new session. An attempt whose answer is lost may leave one behind, which ends by itself. */
export const openSession = (
  pipeline: Pipeline,
  { owner, timeoutMs, ttlMs }: SessionOpeningOptions
): Effect.Effect<OpenedSession, PipelineError> => {
  const ask = Effect.flatMap(RandomBytes, (randomBytes) => {
    const secret = randomBytes(secretBytes)
    const command = encodeCommand({ _tag: "OpenSession", ttlMs, secret, owner })
    return pipeline.submit(command, timeoutMs, (bytes) => Effect.succeed({ secret, reply: decodeReply(bytes) }))
  })
  return Effect.matchEffect(ask, {
    onSuccess: ({ reply, secret }) => {
      if (reply._tag === "SessionReply") return Effect.succeed({ id: reply.session, secret })
      return Effect.fail(
        reply._tag === "RefusedReply" && reply.reason === "overloaded"
          ? new Overloaded({ limit: reply.field, current: reply.current, maximum: reply.maximum })
          : new Unavailable({ reason: `a session cannot be opened: a ${reply._tag} answers` })
      )
    },
    // Whatever became of the session, the writes that wait for it were not sent.
    onFailure: (error) =>
      Effect.fail(
        error._tag === "InvalidArgument" || error._tag === "Overloaded" || error._tag === "Unavailable" ||
          error._tag === "WrongCluster" || error._tag === "Unauthenticated" || error._tag === "Unauthorized"
          ? error
          : new Unavailable({ reason: `a session cannot be opened: ${error.message}` })
      )
  })
}
