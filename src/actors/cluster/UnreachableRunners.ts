/**
 * Says which runners do not answer. Calls that are not persisted wait until their entity's runner can be reached, and
 * Effect tries again without a word. A runner that died is not among the runners soon, and its shards have another
 * owner. One that is there and does not answer listens elsewhere, by another transport or path, or behind a firewall.
 */
import { Effect } from "effect"
import type { RunnerAddress, Runners } from "effect/cluster"
import { monotonicMs } from "../../Monotonic.ts"

type Service = Runners.Runners["Service"]

/** How long a runner may give no answer, in milliseconds: a dead one is registered for less. */
const patienceMs = 10_000

interface Silence {
  readonly sinceMs: number
  lastMs: number
  isSaid: boolean
}

/** Logs a warning of each runner that calls cannot reach, once until it answers. */
export const sayingUnreachable = (runners: Service): Service => {
  const silent = new Map<string, Silence>()
  const answered = (address: RunnerAddress.RunnerAddress) => Effect.sync(() => silent.delete(address.toString()))
  const unreachable = Effect.fnUntraced(function*(address: RunnerAddress.RunnerAddress) {
    const key = address.toString()
    const nowMs = yield* monotonicMs
    const known = silent.get(key)
    // Calls that wait try again all the time.
    const silence = known !== undefined && nowMs - known.lastMs < patienceMs
      ? known
      : { sinceMs: nowMs, lastMs: nowMs, isSaid: false }
    silent.set(key, silence)
    silence.lastMs = nowMs
    if (silence.isSaid || nowMs - silence.sinceMs < patienceMs) return
    silence.isSaid = true
    yield* Effect.logWarning(
      `the runner at ${address.host}:${address.port} is registered and has given no answer for ` +
        `${Math.round(nowMs - silence.sinceMs)} ms: calls that are not persisted wait. Look whether it listens ` +
        "there, and whether it has the transport and path that this process has"
    )
  })
  return {
    ...runners,
    send: (options) =>
      runners.send(options).pipe(
        Effect.onExit(({ _tag }) => _tag === "Success" ? answered(options.address) : Effect.void),
        Effect.tapErrorTag("RunnerUnavailable", () => unreachable(options.address))
      )
  }
}
