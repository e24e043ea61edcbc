/** What a node's HTTP port says: its `/metrics` and its `/status`, with the time that the answer took. */
import type { Scope } from "effect"
import { Effect, Option, Redacted, Schema } from "effect"
import { performance } from "node:perf_hooks"
import { getText } from "../../http/GetText.ts"
import { ProcessReport } from "../../protocol/NodeReport.ts"
import type { ClientOptions } from "../../client/ClientOptions.ts"
import type { ClientFlags } from "../input/ClientFlags.ts"
import { identityFiles, identityOptions } from "../input/IdentityFlags.ts"
import type { Failure } from "../output/Failure.ts"
import { MetricsPage } from "./MetricsPage.ts"

/** What is read of `/status`: the rest is in `NodeReport`. Older nodes say nothing of their process. */
const Status = Schema.Struct({ process: Schema.optionalKey(ProcessReport) })

const decodeStatus = Schema.decodeUnknownOption(Schema.fromJsonString(Status))

export type Ask = (address: string, path: string) => Effect.Effect<string, string>

/** Asks HTTP ports with the certificates and the token of the flags, as other verbs do. */
export const asker = (flags: ClientFlags, timeoutMs: number): Effect.Effect<Ask, Failure, Scope.Scope> =>
  Effect.map(
    Effect.flatMap(identityFiles(flags), identityOptions),
    (shown: Pick<ClientOptions, "tls" | "token">): Ask => (address, path) =>
      Effect.gen(function*() {
        const { tls, token } = shown
        const secret = token === undefined || Redacted.isRedacted(token) ? token : yield* token
        return yield* getText({ address, path, tls, token: secret, timeoutMs })
      }).pipe(Effect.mapError(({ message }) => message))
  )

export interface Clocked {
  readonly process: ProcessReport | undefined
  /** By how much the node's clock is ahead of this machine's, in milliseconds, give or take `errorMs`. */
  readonly offsetMs: number
  readonly errorMs: number
}

/** One look at the node's clock: it was read between the question and the answer. */
const lookAt = (ask: Ask, address: string): Effect.Effect<Clocked, string> =>
  Effect.suspend(() => {
    const beginMs = performance.now()
    return Effect.map(ask(address, "/status"), (text) => {
      const tookMs = performance.now() - beginMs
      const process = Option.getOrUndefined(decodeStatus(text))?.process
      const middleMs = performance.timeOrigin + beginMs + tookMs / 2
      return { process, offsetMs: (process?.timeMs ?? Number.NaN) - middleMs, errorMs: tookMs / 2 }
    })
  })

/** The best of several looks: the one that took the least time. Fails with why there was none. */
export const clockOf = Effect.fnUntraced(function*(ask: Ask, address: string, looks: number) {
  let best = yield* lookAt(ask, address)
  for (let i = 1; i < looks; i++) {
    const next = yield* lookAt(ask, address)
    if (next.errorMs < best.errorMs) best = next
  }
  return best
})

export const metricsOf = (ask: Ask, address: string): Effect.Effect<MetricsPage, string> =>
  Effect.map(ask(address, "/metrics"), (text) => new MetricsPage(text))
