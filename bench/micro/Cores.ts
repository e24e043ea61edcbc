/** Three cores that lead a command to its commit, with disks and a network that take no time: what is left is the core itself. */
import type { Config } from "../../src/raft/Config.ts"
import { defaults } from "../../src/raft/Config.ts"
import type { Event } from "../../src/raft/Event.ts"
import type { Message } from "../../src/raft/Message.ts"
import type { Raft } from "../../src/raft/Raft.ts"
import { make, status, step } from "../../src/raft/Raft.ts"
import { LogIndex, NodeId, origin, Term } from "../../src/raft/Types.ts"

const voters = [1, 2, 3].map(NodeId)

const configOf = (id: NodeId): Config => ({ ...defaults, id, voters, seed: id })

export class Cores {
  private readonly cores: ReadonlyMap<NodeId, Raft>
  private readonly leader: NodeId
  private inFlight: Array<Message> = []

  constructor() {
    this.cores = new Map(voters.map((id) => [
      id,
      make(configOf(id), {
        hardState: { term: Term(0), votedFor: undefined, commit: LogIndex(0) },
        compacted: origin,
        lastIndex: LogIndex(0),
        termRuns: [],
        applied: LogIndex(0)
      })
    ]))
    this.leader = this.elect()
  }

  /** The last entry that the leader has applied. */
  get applied(): number {
    return status(this.core(this.leader)).applied
  }

  /** Has commands committed and applied by all. */
  commit(payloads: ReadonlyArray<Uint8Array>): void {
    this.step(this.leader, { _tag: "Propose", proposals: payloads.map((payload, id) => ({ id, payload })), nowMs: 0 })
    this.settle()
  }

  private core(id: NodeId): Raft {
    return this.cores.get(id) as Raft
  }

  private elect(): NodeId {
    for (let ticks = 0; ticks < 10_000; ticks++) {
      for (const [id, core] of this.cores) {
        this.step(id, { _tag: "Tick" })
        this.settle()
        if (core.role === "leader") return id
      }
    }
    throw new Error("no core was elected")
  }

  private settle(): void {
    for (let messages = this.inFlight; messages.length > 0; messages = this.inFlight) {
      this.inFlight = []
      for (const message of messages) this.step(message.to, { _tag: "Receive", message })
    }
  }

  private step(id: NodeId, event: Event): void {
    for (const output of step(this.core(id), event)) {
      switch (output._tag) {
        case "Send":
          this.inFlight.push(...output.messages)
          break
        case "Persist":
          this.inFlight.push(...output.thenSend)
          this.step(id, { _tag: "Persisted", persistId: output.persistId })
          break
        case "Apply":
          this.step(id, { _tag: "Applied", index: output.through })
      }
    }
  }
}
