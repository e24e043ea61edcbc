/** A driver with a bug, to show that the oracle would notice. */
import type { Config } from "../../../src/raft/Config.ts"
import type { Output, Persist } from "../../../src/raft/Output.ts"
import type { Recovered } from "../../../src/raft/Raft.ts"
import type { Entry } from "../../../src/raft/Types.ts"
import { LogIndex } from "../../../src/raft/Types.ts"
import type { CoreWorld } from "../../../src/testing/CoreDriver.ts"
import { CoreDriver } from "../../../src/testing/CoreDriver.ts"

/** Bugs of a driver or a disk that can be put in, to show that the oracle would notice. */
export type Mutant =
  | "answers before the disk has it"
  | "reports writes before they are durable"
  | "forgets its vote in a crash"
  | "forgets to truncate"
  | "serves reads without a round"
  | "applies what it has not got durable"

export class MutantDriver extends CoreDriver {
  private readonly mutant: Mutant | undefined

  constructor(config: Config, recovered: Recovered, world: CoreWorld, mutant: Mutant | undefined) {
    super(config, recovered, world)
    this.mutant = mutant
  }

  protected override carryOut(output: Output): void {
    super.carryOut(output)
    if (output._tag !== "Persist") return
    if (this.mutant === "reports writes before they are durable") this.finished = output.persistId
    if (this.mutant === "answers before the disk has it") this.world.send(output.thenSend)
  }

  protected override becameDurable(write: Persist): void {
    switch (this.mutant) {
      case "reports writes before they are durable":
        return this.world.send(write.thenSend)
      case "answers before the disk has it":
        this.finished = write.persistId
        return
      default:
        return super.becameDurable(write)
    }
  }

  protected override takeIn(entries: ReadonlyArray<Entry>): void {
    const { applying, raft } = this
    const more = this.mutant === "applies what it has not got durable" && applying !== undefined
      ? raft.log.slice(LogIndex(applying.through + 1), raft.log.lastIndex, 100, 1) ?? []
      : []
    super.takeIn([...entries, ...more])
  }
}
