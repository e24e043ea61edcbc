/**
 * The handlers of an RPC group, each measured (`CallMetrics.ts`). A call lasts until its answer; one that streams lasts
 * until the end of its stream.
 */
import { Context, Effect, Option, Stream } from "effect"
import type { Rpc, RpcGroup } from "effect/rpc"
import type { CallMetrics } from "./CallMetrics.ts"

/** A handler as the RPC server finds it in its context: behind the key of its call. */
interface Entry {
  readonly handler: (payload: unknown, options: unknown) => unknown
}

const measured = (result: unknown, call: string, metrics: CallMetrics): unknown => {
  const sinceMs = metrics.nowMs()
  if (Effect.isEffect(result)) {
    return Effect.onExit(
      result as Effect.Effect<unknown, unknown>,
      (exit) => Effect.sync(() => metrics.ended(call, sinceMs, exit))
    )
  }
  if (Stream.isStream(result)) {
    return Stream.onExit(
      result as Stream.Stream<unknown, unknown>,
      (exit) => Effect.sync(() => metrics.ended(call, sinceMs, exit))
    )
  }
  return result
}

/** `context` with its handlers of the calls of `group` measured. */
export const measuredHandlers = <Rpcs extends Rpc.Any, R>(
  group: RpcGroup.RpcGroup<Rpcs>,
  context: Context.Context<R>,
  metrics: CallMetrics
): Context.Context<R> => {
  let all = context
  for (const { _tag: tag, key } of group.requests.values()) {
    const service = Context.Service<R, Entry>(key)
    const entry = Option.getOrUndefined(Context.getOption(context, service))
    if (entry === undefined) continue
    const handler: Entry["handler"] = (payload, options) => measured(entry.handler(payload, options), tag, metrics)
    all = Context.add(all, service, { ...entry, handler })
  }
  return all
}
