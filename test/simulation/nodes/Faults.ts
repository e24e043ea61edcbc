/**
 * What goes wrong. One kind of thing at a time is drawn, as often as the seed says; most of it mends itself after a
 * while, and what needs an operator finds one, who does what the runbooks say.
 */
import { demand } from "../engine/Oracle.ts"
import type { Random } from "../Random.ts"
import { floorFile } from "../../../src/storage/DurableFloor.ts"
import { DiskConditions } from "./DiskConditions.ts"
import type { Probe, Probes } from "./Probes.ts"
import type { Rates } from "./Rates.ts"
import { noFaults } from "./SimNetwork.ts"
import type { SimNetwork } from "./SimNetwork.ts"
import { PutBack } from "./PutBack.ts"
import type { SimNode } from "./SimNode.ts"
import type { NodeStage } from "./StaleLeader.ts"
import { StaleNode } from "./StaleLeader.ts"
import { Upgrades } from "./Upgrades.ts"
import type { NodeId } from "../../../src/raft/Types.ts"
import type { Timeline } from "../engine/Timeline.ts"

export interface FaultWorld {
  readonly random: Random
  readonly timeline: Timeline
  readonly network: SimNetwork
  readonly nodes: ReadonlyArray<SimNode>
  readonly probes: Probes
  readonly trace: ((line: string) => void) | undefined
  readonly rates: Rates
  readonly inject: (fault: () => void) => void
}

/** What an operator needs to notice a node that is down. */
const operatorMs = 400

/** Words of the errors that tell of damage, with the probe for each. */
const refusals: ReadonlyArray<readonly [RegExp, Probe]> = [
  [new RegExp(`${floorFile}|durable floor`), "a damaged floor was refused"],
  [/its tail was lost|was durable there/, "a lost tail of the log was noticed"],
  [/entry \d+: |entry \d+ is missing|raft_log/, "a damaged log was refused"],
  [/hard state record/, "a damaged hard state was refused"],
  [/record does not match|has an unknown shape|has only \d+ bytes/, "a damaged record was refused"],
  [/block checksum mismatch/, "a damaged state was refused"]
]

export class Faults {
  private readonly world: FaultWorld
  /** What the disks of the nodes are like. */
  readonly disks: DiskConditions
  private over = false
  private readonly staleLeader: StaleNode
  private readonly putBacks: PutBack
  private readonly upgrades: Upgrades

  constructor(world: FaultWorld) {
    this.world = world
    this.disks = new DiskConditions(world, (node) => {
      this.crash(node, true)
      this.startSoon(node)
    })
    const stage: NodeStage = {
      ...world,
      stop: (node) => this.stop(node),
      wake: (node) => this.wake(node),
      kill: (node) => this.crash(node, false),
      wipe: (node) => {
        if (!this.mayLose(node)) return false
        this.wipe(node, "lost")
        return true
      }
    }
    this.staleLeader = new StaleNode(stage)
    this.putBacks = new PutBack(stage)
    this.upgrades = new Upgrades(world, (node) => this.restart(node))
  }

  begin(): void {
    this.upgrades.begin()
    this.next()
  }

  private next(): void {
    const { random, rates, timeline } = this.world
    timeline.after(rates.everyMs * (0.2 + random.next() * 1.6), () => {
      if (this.over) return
      // Other faults would undo what a history is made of.
      if (!this.storyGoesOn) this.world.inject(() => this.happen())
      this.next()
    })
  }

  private get storyGoesOn(): boolean {
    return this.staleLeader.goesOn || this.putBacks.goesOn
  }

  /** From now on everything works: links, disks, and an operator who starts what is down. */
  end(): void {
    const { network, nodes } = this.world
    this.over = true
    this.disks.end()
    this.staleLeader.end()
    this.putBacks.end()
    this.upgrades.end()
    network.heal()
    network.faults = noFaults
    for (const node of nodes) {
      this.disks.repair(node.id)
      this.wake(node)
      // Damage that no node has met yet may be met at any time.
      if (node.storage.damaged.size > 0) this.wipe(node, "replaced")
      if (node.process === undefined) this.startSoon(node)
    }
  }

  private leaderOr(drawn: SimNode): SimNode {
    const leaders = this.world.nodes.filter(({ raft }) => raft?.role === "leader")
    return leaders.length > 0 && this.world.random.chance(0.6) ? this.world.random.pick(leaders) : drawn
  }

  private happen(): void {
    const { nodes, probes, random, rates, timeline, trace } = this.world
    const node = this.leaderOr(random.pick(nodes))
    const ids = nodes.map(({ id }) => id)
    const leads = node.raft?.role === "leader"
    const kind = random.weighted(rates.kinds)
    switch (kind) {
      case "crash":
      case "power":
        if (node.process === undefined) return
        if (leads) probes.hit("a leader crashed")
        this.crash(node, kind === "power")
        return this.startSoon(node)
      case "shutdown":
        trace?.(`n${node.id} is asked to end`)
        return node.shutDown(() => {
          trace?.(`n${node.id} has ended`)
          probes.hit("a node ended in an orderly way")
          this.startSoon(node)
        })
      case "pause": {
        const { process } = node
        if (process === undefined || process.isStopped) return
        const pauseMs = 20 + random.below(900)
        trace?.(`n${node.id} is stopped for ${pauseMs} ms`)
        if (leads && pauseMs > 300) probes.hit("a leader was stopped for long")
        process.stop()
        return timeline.after(pauseMs, () => process.resume())
      }
      case "suspend":
        return this.suspend(node, 400 + random.below(2_000))
      case "stale leader":
        return this.staleLeader.begin()
      case "put back":
        return this.putBacks.begin(node)
      case "isolate":
      case "one-way":
      case "swizzle":
        return this.breakLinks(kind, node)
      case "slow disk":
      case "write error":
      case "sync error":
      case "disk full":
        return this.breakDisk(kind, node.id)
      case "damage":
        return this.damage(node)
      case "wipe":
        return this.mayLose(node) ? this.wipe(node, "lost") : undefined
      case "clock": {
        const jumpMs = random.pick([-3_600_000, -500, 500, 60_000, 3_600_000])
        trace?.(`the wall clock of n${node.id} jumps by ${jumpMs} ms`)
        probes.hit("a clock jumped")
        node.clock.wallOffsetMs += jumpMs
        return
      }
      case "transfer": {
        const { process, running } = node
        if (process === undefined || running === undefined) return
        const target = random.pick([undefined, ...ids])
        trace?.(`n${node.id} is asked to hand over to n${target ?? "-"}`)
        return process.enter(() => node.run(running.node.transferLeader(target), () => {}))
      }
    }
  }

  private breakLinks(kind: "isolate" | "one-way" | "swizzle", node: SimNode): void {
    const { network, nodes, random, timeline, trace } = this.world
    const ids = nodes.map(({ id }) => id)
    switch (kind) {
      case "isolate":
        trace?.(`n${node.id} is cut off`)
        network.isolate(node.id, ids)
        return this.healSoon()
      case "one-way": {
        const other = random.pick(ids)
        if (other === node.id) return
        const [from, to] = random.chance(0.5) ? [node.id, other] as const : [other, node.id] as const
        trace?.(`nothing gets from n${from} to n${to}`)
        network.cut(from, to)
        return this.healSoon()
      }
      case "swizzle":
        trace?.("links are cut and mended one by one")
        for (const from of ids) {
          for (const to of ids) {
            if (from === to || random.chance(0.5)) continue
            timeline.after(random.below(300), () => {
              // The end of all faults may come in between, and nothing would mend what is cut after it.
              if (!this.over && !this.storyGoesOn) network.cut(from, to)
            })
            timeline.after(random.below(600) + 100, () => {
              if (!this.storyGoesOn) network.mend(from, to)
            })
          }
        }
        return this.healSoon()
    }
  }

  private breakDisk(kind: "slow disk" | "write error" | "sync error" | "disk full", id: NodeId): void {
    const { random, timeline, trace } = this.world
    const condition = this.disks.of(id)
    switch (kind) {
      case "slow disk": {
        condition.slowMs = random.pick([50, 400, 4_000])
        trace?.(`the disk of n${id} is slow: ${condition.slowMs} ms`)
        return timeline.after(random.below(condition.slowMs > 1_000 ? 3_000 : 1_500), () => {
          condition.slowMs = 0
        })
      }
      case "write error":
      case "sync error":
        condition.failNext = kind === "write error" ? "write" : "sync"
        trace?.(`the next ${kind === "write error" ? "write" : "sync"} of n${id} fails`)
        return
      case "disk full": {
        condition.full = true
        trace?.(`the disk of n${id} is full`)
        return timeline.after(random.below(1_000), () => {
          condition.full = false
        })
      }
    }
  }

  private healSoon(): void {
    const { network, random, timeline } = this.world
    timeline.after(50 + random.below(900), () => {
      if (!this.storyGoesOn) network.heal()
    })
  }

  /** A process is stopped for several election timeouts; meanwhile its connections break. */
  private suspend(node: SimNode, ms: number): void {
    const { probes, timeline, trace } = this.world
    const { process } = node
    if (process === undefined || process.isStopped) return
    trace?.(`n${node.id} is suspended for ${ms} ms`)
    probes.hit("a node was suspended for several election timeouts")
    this.stop(node)
    timeline.after(ms, () => {
      if (node.process === process) this.wake(node)
    })
  }

  private stop(node: SimNode): void {
    node.process?.stop()
    this.world.network.suspend(node.id)
  }

  private wake(node: SimNode): void {
    node.process?.resume()
    this.world.network.wake(node.id)
  }

  private crash(node: SimNode, power: boolean): void {
    const { probes, random, trace } = this.world
    node.kill()
    if (!power) return trace?.(`n${node.id} is killed`)
    const { hole, kept, lost, lostState, torn } = node.losePower(random)
    if (lost > 0) probes.hit("a crash lost writes")
    if (torn) probes.hit("a crash tore a write")
    if (hole) probes.hit("a crash left a hole")
    if (lostState) probes.hit("a crash lost applied state")
    trace?.(`n${node.id} loses power: ${lost} batches lost, ${kept} kept, its log ends at ${node.disk.lastIndex}`)
  }

  /** The process ends in good order, or is killed, and another one begins. */
  private restart(node: SimNode): void {
    if (node.process === undefined || node.isClosing) return
    if (this.over || node.process.isStopped || this.world.random.chance(0.5)) {
      this.crash(node, false)
      return this.startSoon(node)
    }
    node.shutDown(() => this.startSoon(node))
  }

  private startSoon(node: SimNode): void {
    const { random, timeline, trace } = this.world
    timeline.after(20 + random.below(operatorMs), () => {
      if (node.process !== undefined) return
      trace?.(`n${node.id} is started`)
      node.start()
    })
  }

  /** One node at most may lose what it promised, and only while the others have all of it. */
  private mayLose(node: SimNode): boolean {
    const { nodes } = this.world
    return nodes.length > 1 && nodes.every((other) => other === node || other.isWhole)
  }

  private wipe(node: SimNode, reason: string): void {
    const { network, nodes, probes, trace } = this.world
    if (node.disk.hardState.membership === "learner") probes.hit("a learner lost its disk")
    const isAway = ({ id, process }: SimNode): boolean =>
      process === undefined || process.isStopped ||
      nodes.some((other) => other.id !== id && network.isCut(id, other.id))
    if (nodes.some((other) => other !== node && isAway(other))) {
      probes.hit("a disk was lost while another node was out of reach")
    }
    if (node.process !== undefined) this.crash(node, false)
    trace?.(`the disk of n${node.id} is ${reason}: it gets an empty one`)
    probes.hit("a disk was lost")
    node.wipe()
    this.startSoon(node)
  }

  private damage(node: SimNode): void {
    const { random, trace } = this.world
    if (!this.mayLose(node) || !node.isWhole) return
    // What a node is reading while it runs it may not read again.
    if (node.process !== undefined && random.chance(0.8)) {
      this.crash(node, false)
      this.startSoon(node)
    }
    const what = node.damage(random)
    if (what !== undefined) trace?.(`damage on the disk of n${node.id}: ${what}`)
  }

  /** A node refuses an entry of its leader. */
  refuses(node: SimNode, claim: string): boolean {
    if (!this.upgrades.explains(node, claim)) return false
    this.upgrades.refused(node)
    return true
  }

  /** A node has stopped serving, or refuses to start. That needs a cause. */
  ended(node: SimNode, reason: string, ran: boolean): void {
    const { probes, timeline, trace } = this.world
    const damaged = node.storage.damaged.size > 0
    trace?.(`n${node.id} ${ran ? "stops" : "does not start"}: ${reason}`)
    demand(
      node.expectedFailure !== undefined || damaged || this.upgrades.explains(node, reason),
      "no node stops without a cause",
      () => `n${node.id} ${ran ? "stopped" : "refused to start"}: ${reason}`
    )
    demand(
      !/InvariantViolation|is violated/.test(reason),
      "no node stops without a cause",
      () => `n${node.id}: ${reason}`
    )
    const { process } = node
    timeline.after(1 + this.world.random.below(30), () => {
      if (node.process !== process) return
      // What a failed sync was about may never have reached the disk.
      this.crash(node, true)
      if (!damaged && this.upgrades.explains(node, reason)) this.upgrades.refused(node)
      if (!damaged) return this.startSoon(node)
      for (const [words, probe] of refusals) {
        if (!words.test(reason)) continue
        probes.hit(probe)
        break
      }
      // deploy/runbooks/lost-node.md: the other two have everything; the node starts again with an empty directory.
      this.wipe(node, "given up")
    })
  }
}
