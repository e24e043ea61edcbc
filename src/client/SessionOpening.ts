/** Opens a session at the cluster. */
import { Effect } from "effect"
import { Overloaded, Unavailable } from "../FlareDbError.ts"
import { encodeCommand } from "../kv/Command.ts"
import { decodeReply } from "../kv/Reply.ts"
import type { Pipeline, PipelineError } from "./Pipeline.ts"

/** The id of a new session. An attempt whose answer is lost may leave one behind, which ends by itself. */
export const openSession = (
  pipeline: Pipeline,
  ttlMs: number,
  timeoutMs: number
): Effect.Effect<number, PipelineError> =>
  Effect.matchEffect(pipeline.submit(encodeCommand({ _tag: "OpenSession", ttlMs }), timeoutMs), {
    onSuccess: (bytes) => {
      const reply = decodeReply(bytes)
      if (reply._tag === "SessionReply") return Effect.succeed(reply.session)
      return Effect.fail(
        reply._tag === "RefusedReply" && reply.reason === "overloaded"
          ? new Overloaded({ limit: reply.field, current: reply.current, maximum: reply.maximum })
          : new Unavailable({ reason: `a session cannot be opened: a ${reply._tag} answers` })
      )
    },
    // Whatever became of the session, the writes that wait for it were not sent.
    onFailure: (error) =>
      Effect.fail(
        error._tag === "Overloaded" || error._tag === "Unavailable" || error._tag === "WrongCluster"
          ? error
          : new Unavailable({ reason: `a session cannot be opened: ${error.message}` })
      )
  })
