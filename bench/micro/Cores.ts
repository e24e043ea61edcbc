/** Three cores that lead a command to its commit, with disks and a network that take no time: what is left is the core itself. */
import type { Config } from "../../src/raft/Config.ts"
import { coreDefaults } from "../../src/testing/CoreDefaults.ts"
import type { Message } from "../../src/raft/Message.ts"
import type { Output } from "../../src/raft/Output.ts"
import { status } from "../../src/raft/Raft.ts"
import { LogIndex, NodeId, origin, Term } from "../../src/raft/Types.ts"
import { CoreDriver } from "../../src/testing/CoreDriver.ts"

const voters = [1, 2, 3].map(NodeId)

const configOf = (id: NodeId): Config => ({ ...coreDefaults, id, voters, seed: id })

const nothingYet = {
  hardState: { term: Term(0), votedFor: undefined, commit: LogIndex(0) },
  compacted: origin,
  lastIndex: LogIndex(0),
  termRuns: [],
  applied: LogIndex(0)
}

const noDisk = { write: () => {}, at: () => undefined }

export class Cores {
  private readonly cores: ReadonlyMap<NodeId, CoreDriver>
  private readonly leader: CoreDriver
  private inFlight: Array<Message> = []

  constructor() {
    this.cores = new Map(voters.map((id) => [id, this.coreOf(id)]))
    this.leader = this.elect()
  }

  /** The last entry that the leader has applied. */
  get applied(): number {
    return status(this.leader.raft).applied
  }

  /** Has commands committed and applied by all. */
  commit(payloads: ReadonlyArray<Uint8Array>): void {
    this.leader.step({ _tag: "Propose", proposals: payloads.map((payload, id) => ({ id, payload })), nowMs: 0 })
    this.settle()
  }

  private coreOf(id: NodeId): CoreDriver {
    const core: CoreDriver = new CoreDriver(configOf(id), nothingYet, {
      disk: noDisk,
      send: (messages) => this.inFlight.push(...messages),
      applies: () => {},
      carriedOut: (output) => goOn(core, output)
    })
    return core
  }

  private elect(): CoreDriver {
    for (let ticks = 0; ticks < 10_000; ticks++) {
      for (const core of this.cores.values()) {
        core.step({ _tag: "Tick" })
        this.settle()
        if (core.raft.role === "leader") return core
      }
    }
    throw new Error("no core was elected")
  }

  private settle(): void {
    for (let messages = this.inFlight; messages.length > 0; messages = this.inFlight) {
      this.inFlight = []
      for (const message of messages) this.cores.get(message.to)?.step({ _tag: "Receive", message })
    }
  }
}

/** Disk and state machine take no time. */
const goOn = (core: CoreDriver, { _tag }: Output): void => {
  if (_tag === "Persist") {
    core.finishWrite()
    core.report()
  }
  if (_tag === "Apply") core.apply()
}
