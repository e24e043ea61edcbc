/**
 * Plays a scenario file: prose after `#`, commands after `>`, and below each command everything that happened.
 *
 * `UPDATE_SCENARIOS=1 npx vitest run test/raft/scenarios.test.ts` writes what happens now into the files; the
 * change then shows in review.
 */
import type { Config } from "../../src/raft/Config.ts"
import { describeEvent, describeMessage, describeOutputLines, describeState } from "../../src/raft/Describe.ts"
import type { Event } from "../../src/raft/Event.ts"
import type { Output } from "../../src/raft/Output.ts"
import { LogIndex, NodeId } from "../../src/raft/Types.ts"
import type { Disk } from "./Cluster.ts"
import { Cluster, diskOf } from "./Cluster.ts"

/** What a command prints unless it is said `quietly`: everything but steps in which nothing happened. */
const describeStep = (id: number, event: Event, outputs: ReadonlyArray<Output>): Array<string> => {
  const silent = outputs.length === 0 &&
    (event._tag === "Tick" || event._tag === "Applied" || event._tag === "Persisted")
  if (silent) return []
  return [`n${id} ${describeEvent(event)}`, ...outputs.flatMap(describeOutputLines).map((line) => `    ${line}`)]
}

const worthSaying = new Set<Output["_tag"]>(["RoleChanged", "ReadReady", "ReadRefused", "DirectoryRolledBack"])

/** What is worth saying even then. */
const describeQuietly = (id: number, _event: Event, outputs: ReadonlyArray<Output>): Array<string> =>
  outputs.filter(({ _tag }) => worthSaying.has(_tag))
    .flatMap(describeOutputLines).map((line) => `n${id} ${line}`)

class Scenario {
  private cluster = new Cluster()
  private lines: Array<string> = []
  private quiet = false
  /** Disks as they once were, by node. */
  private readonly copies = new Map<number, Disk>()

  play(command: string): ReadonlyArray<string> {
    this.lines = []
    const words = command.split(/\s+/)
    this.quiet = words[0] === "quietly"
    if (this.quiet) words.shift()
    try {
      this.carryOut(words[0] ?? "", words.slice(1))
    } catch (error) {
      // A violated invariant belongs to the scenario like any other outcome.
      this.lines.push(`throws ${error instanceof Error ? error.message : String(error)}`)
    }
    return this.lines
  }

  private carryOut(verb: string, args: ReadonlyArray<string>): void {
    const { cluster } = this
    const first = args[0] ?? ""
    const id = Number(first)
    const numbers = args.map(Number)
    switch (verb) {
      case "cluster":
        return this.start(args)
      case "status":
        for (const { raft } of cluster.members.values()) this.lines.push(describeState(raft))
        return
      case "network":
        this.lines.push(...cluster.inFlight.map(describeMessage))
        return
      case "applied":
        for (const each of cluster.members.keys()) this.lines.push(`n${each}: ${cluster.commands(each).join(" ")}`)
        return
      case "tick":
        return cluster.tick(id, numbers[1] ?? 1)
      case "run":
        return cluster.run(id)
      case "timeout":
        return cluster.timeout(id)
      case "settle":
        return cluster.settle()
      case "deliver":
        return this.deliver(first)
      case "drop":
        return cluster.drop(({ _tag }) => first === "" || _tag === first)
      case "isolate":
        return cluster.isolate(id)
      case "heal":
        return cluster.heal()
      case "slow":
        return void cluster.slowDisks.add(id)
      case "prompt":
        cluster.slowDisks.delete(id)
        return cluster.sync(id)
      case "sync":
        return cluster.sync(id)
      case "restart":
        return cluster.restart(id)
      case "copy":
        return void this.copies.set(id, cluster.copyDisk(id))
      case "lose":
        return cluster.replaceDisk(id)
      case "putback":
        return cluster.replaceDisk(id, this.copies.get(id))
      case "propose":
        return void cluster.propose(id, ...args.slice(1))
      case "read":
        return void cluster.step(id, { _tag: "ReadIndex", readId: numbers[1] ?? 1 })
      case "transfer":
        return void cluster.step(id, {
          _tag: "TransferLeader",
          target: numbers[1] === undefined ? undefined : NodeId(numbers[1])
        })
      case "unreachable":
        return void cluster.step(id, { _tag: "PeerUnreachable", peer: NodeId(numbers[1] ?? 0) })
      case "compact":
        return cluster.compact(id, LogIndex(numbers[1] ?? 0))
      case "snapshot": {
        const peer = NodeId(numbers[1] ?? 0)
        const installed = args[2] === "fails" ? undefined : cluster.installSnapshot(id, peer)
        return void cluster.step(id, { _tag: "SnapshotReported", peer, installed })
      }
      default:
        throw new Error(`there is no command ${verb}`)
    }
  }

  /** `cluster 3 n1=1,1,2 term=2 maxAppendEntries=1`: sizes, the terms of each node's log, and settings. */
  private start(args: ReadonlyArray<string>): void {
    const settings = new Map(args.slice(1).map((arg) => arg.split("=") as [string, string]))
    const term = settings.get("term")
    settings.delete("term")
    const disks = ["n1", "n2", "n3"].map((name) => {
      const terms = (settings.get(name) ?? "").split(",").filter((word) => word !== "").map(Number)
      settings.delete(name)
      return diskOf(terms, term === undefined ? undefined : Number(term))
    })
    const config: Partial<Config> = Object.fromEntries([...settings].map(([name, value]) => [name, Number(value)]))
    this.cluster = new Cluster({ size: args[0] === "1" ? 1 : 3, config, disks })
    this.cluster.watch = (id, event, outputs) => {
      this.lines.push(...(this.quiet ? describeQuietly : describeStep)(id, event, outputs))
    }
  }

  /** Delivers what is on its way now, all of it or one kind, but nothing that comes of it. */
  private deliver(tag: string): void {
    const { cluster } = this
    const due = new Set(cluster.inFlight.filter(({ _tag }) => tag === "" || _tag === tag))
    for (let at = due.size; at > 0; at--) cluster.deliver((message) => due.has(message))
  }
}

/** Plays all commands of a file and returns the file as it should read. */
export const playScenario = (text: string): string => {
  const scenario = new Scenario()
  const written: Array<string> = []
  for (const line of text.split("\n")) {
    if (line.startsWith("#")) {
      if (written.length > 0 && !written[written.length - 1]?.startsWith("#")) written.push("")
      written.push(line)
    } else if (line.startsWith(">")) {
      if (written.length > 0 && !written[written.length - 1]?.startsWith("#")) written.push("")
      written.push(line, ...scenario.play(line.slice(1).trim()).map((each) => `  ${each}`))
    }
  }
  while (written[written.length - 1] === "") written.pop()
  return `${written.join("\n")}\n`
}
