/**
 * A second core that takes the steps of a node tick by tick. A node lets ticks pass and hands them to its core together
 * (`raft/Deadline.ts`): that has to be the same, in every life.
 */
import type { StepObserver } from "../../../src/node/StepObserver.ts"
import { describeOutput, describeState } from "../../../src/raft/Describe.ts"
import type { Output } from "../../../src/raft/Output.ts"
import * as Raft from "../../../src/raft/Raft.ts"
import { demand } from "../engine/Oracle.ts"

const shown = (outputs: ReadonlyArray<Output>): string => outputs.map(describeOutput).join(" | ")

export class TickShadow implements StepObserver {
  private core: Raft.Raft | undefined

  readonly started: StepObserver["started"] = (config, recovered) => {
    this.core = Raft.make(config, recovered)
  }

  readonly stepped: StepObserver["stepped"] = (raft, event, outputs) => {
    const { core } = this
    if (core === undefined) return
    if (event._tag !== "Tick") return void Raft.step(core, event)
    for (let left = event.count ?? 1; left > 1; left--) {
      const early = Raft.step(core, { _tag: "Tick" })
      demand(
        early.length === 0,
        "a jump of ticks does what single ticks do",
        () => `${left - 1} of ${event.count} ticks before the last: ${shown(early)}`
      )
    }
    const last = Raft.step(core, { _tag: "Tick" })
    demand(
      shown(last) === shown(outputs) && describeState(core) === describeState(raft),
      "a jump of ticks does what single ticks do",
      () => `${event.count ?? 1} ticks gave ${shown(outputs)}, and one by one ${shown(last)}`
    )
  }

  readonly snapshotRequested: StepObserver["snapshotRequested"] = (request) => {
    if (this.core !== undefined) Raft.snapshotProblem(this.core, request)
  }
}
