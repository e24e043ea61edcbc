/** The core as the disk left it, and the clock of its log. */
import { Effect, Random } from "effect"
import type { FlareDbConfig } from "../config/FlareDbConfig.ts"
import { StateMachine } from "../machine/StateMachine.ts"
import * as Raft from "../raft/Raft.ts"
import { LogStore } from "../storage/LogStore.ts"
import type { RaftTimer } from "../timer/RaftTimer.ts"
import { coreConfig } from "./CoreConfig.ts"
import { LogClock } from "./LogClock.ts"
import { StepObserver } from "./StepObserver.ts"

export const recoverCore = Effect.fnUntraced(function*(config: FlareDbConfig, timer: RaftTimer["Service"]) {
  const log = yield* LogStore
  const machine = yield* StateMachine
  const core = coreConfig(config, yield* Random.nextIntBetween(1, 2 ** 31))
  const recovered = {
    hardState: log.recovered.hardState,
    compacted: log.recovered.compacted,
    lastIndex: log.recovered.lastIndex,
    termRuns: log.recovered.termRuns,
    applied: machine.recovered.index
  }
  const observe = yield* StepObserver
  observe?.started(core, recovered)
  const knownMs = Math.max(machine.logTimeMs(), log.recovered.lastTimestampMs)
  const clock = new LogClock({
    // Where neither the state nor the log knows a time, it begins with the wall clock's: people can read such
    // timestamps.
    startMs: knownMs || timer.nowMsUnsafe(),
    knowsTime: knownMs > 0,
    monotonicMs: timer.monotonicMsUnsafe,
    maxStepMs: config.electionTimeoutMinMs
  })
  return { raft: Raft.make(core, recovered), clock, observe }
})
