/**
 * Three Raft cores on a network and disks that are simulated as well. Time is counted in draws: one thing happens
 * with each, and what takes several draws is due on the timeline. Faults and load for a while, then quiet, in which all
 * must agree.
 */
import { NodeId } from "../../../src/raft/Types.ts"
import type { Engine, Phase, World as SimWorld } from "../engine/Engine.ts"
import { demand, Oracle } from "../engine/Oracle.ts"
import { Steps } from "../engine/Steps.ts"
import { TermFlips } from "../engine/TermFlips.ts"
import { Convergence } from "./Convergence.ts"
import { LostDisks } from "./LostDisks.ts"
import type { Mutant } from "./MutantDriver.ts"
import { noFaults, SimNetwork } from "./SimNetwork.ts"
import type { Probe } from "./Probes.ts"
import { probes } from "./Probes.ts"
import type { World } from "./SimNode.ts"
import { SimNode } from "./SimNode.ts"
import { StaleCore } from "./StaleLeader.ts"
import type { FaultProfile } from "./FaultProfile.ts"
import { drawFaultProfile } from "./FaultProfile.ts"

/** Draws before the faults end. */
const roughDraws = 6_000

/** Draws for which a leader is stranded. */
const strandedDraws = 400

/** Rounds within which everybody has to agree. */
const calmRounds = 400

/** The world of cores, maybe with a bug in their driver. */
export const coresWith = (mutant: Mutant | undefined): SimWorld<Probe> => ({
  script: "simulate:cores",
  probes,
  showsTime: false,
  make: (engine) => new Cores(engine, mutant).phases
})

export const cores = coresWith(undefined)

class Cores {
  private readonly engine: Engine<Probe>
  private readonly flips: TermFlips
  private readonly profile: FaultProfile
  private readonly network: SimNetwork
  private readonly nodes: ReadonlyArray<SimNode>
  private readonly world: World
  private readonly staleLeader: StaleCore
  private readonly disks: LostDisks
  private readonly convergence: Convergence
  private lastId = 0
  /** Whether those who were parted by {@link strand} have yet to meet again. */
  private stranded = false
  /** Whether little is proposed meanwhile. */
  private quiet = false
  private calm = false
  private draws = 0

  constructor(engine: Engine<Probe>, mutant: Mutant | undefined) {
    this.engine = engine
    const { probes, random, seed, timeline, trace } = engine
    this.profile = drawFaultProfile(random)
    this.network = new SimNetwork(random, this.profile.network)
    const nodes: Array<SimNode> = []
    this.flips = new TermFlips(seed)
    const oracle = new Oracle(nodes, this.flips)
    const steps = new Steps(oracle, probes, trace)
    this.world = { random, timeline, network: this.network, oracle, steps, probes, mutant, trace }
    // One run in ten has a single voter, which must keep the same promises.
    const voters = seed % 10 === 0 ? [1] : [1, 2, 3]
    // In one run in five the nodes have to find out first that the cluster is new.
    const membership = seed % 5 === 3 ? "unknown" : "voter"
    for (const id of voters) nodes.push(new SimNode(id, voters, this.world, membership))
    for (const { disk } of nodes) disk.forgetTruncation = mutant === "forgets to truncate"
    this.nodes = nodes
    this.disks = new LostDisks({ ...this.world, nodes })
    this.convergence = new Convergence({
      nodes,
      network: this.network,
      deliver: () => this.deliver(),
      propose: (node) => this.propose(node),
      sendSnapshot: (node) => this.sendSnapshot(node)
    })
    this.staleLeader = new StaleCore({
      ...this.world,
      nodes,
      propose: (node) => this.propose(node),
      stop: (node) => node.suspend(Number.MAX_SAFE_INTEGER),
      wake: (node) => node.wake(),
      kill: (node) => node.crash(),
      wipe: (node) => {
        this.disks.wipe(node)
        return !node.disk.votes
      }
    })
  }

  get phases(): ReadonlyArray<Phase> {
    return [
      {
        begin: () => {
          for (const node of this.nodes) node.start()
          this.next()
        },
        isOver: () => this.draws === roughDraws,
        withinMs: Infinity
      },
      {
        begin: () => this.endFaults(),
        isOver: () => this.convergence.isReached || this.draws === roughDraws + calmRounds,
        withinMs: Infinity,
        end: () =>
          demand(
            this.convergence.isReached,
            "convergence",
            () => `not after ${calmRounds} ticks:\n${this.convergence.states}`
          )
      }
    ]
  }

  /** One draw after the other. What is due at the same time comes before it. */
  private next(): void {
    this.engine.timeline.after(1, () => {
      this.draws += 1
      if (this.calm) this.convergence.step()
      else this.happen()
      this.next()
    })
  }

  /** One thing happens, drawn by the fault profile. */
  private happen(): void {
    const { network, profile } = this
    const { inject, random } = this.engine
    if (profile.crash > 0 && random.chance(0.1)) {
      const tearable = this.nodes.find(({ disk }) => disk.couldTear)
      if (tearable !== undefined) return inject(() => tearable.crash())
    }
    const node = random.pick(this.nodes)
    switch (this.draw()) {
      case "tick":
        return node.paused ? undefined : void node.step({ _tag: "Tick" })
      case "deliver":
        return this.deliver()
      case "sync":
        return node.sync(1 + random.below(4))
      case "report":
        return node.paused ? undefined : node.report()
      case "apply":
        return node.paused ? undefined : node.apply()
      case "read log":
        return node.paused ? undefined : node.answerLogRead()
      case "snapshot":
        this.sendSnapshot(node)
        return node.paused ? undefined : node.reportSnapshot()
      case "propose":
        return this.stranded && this.quiet && random.chance(0.9) ? undefined : this.propose(this.likelyLeader(node))
      case "read":
        return this.read(random.chance(0.5) ? node : this.likelyLeader(node))
      case "transfer":
        return void this.likelyLeader(node).step({
          _tag: "TransferLeader",
          target: random.pick([undefined, ...this.nodes.map(({ id }) => id)])
        })
      case "compact":
        return node.raft === undefined ? undefined : node.compact()
      case "crash":
        return inject(() => this.crash(node))
      case "restart":
        return node.raft === undefined && !this.staleLeader.holds(node) ? node.start() : undefined
      case "partition":
        return inject(() => this.partition(random.chance(0.5) ? node : this.likelyLeader(node)))
      case "heal":
        return this.stranded || this.staleLeader.goesOn ? undefined : network.heal()
      case "pause":
        return inject(() => {
          node.paused = node.raft !== undefined
        })
      case "resume":
        node.paused = false
        return
      case "fall":
        return inject(() =>
          profile.name === "short terms"
            ? this.fall()
            : profile.name === "stale leader"
            ? this.staleLeader.begin()
            : this.strand()
        )
      case "wipe":
        return inject(() => this.disks.wipe(this.likelyLoser(node)))
      case "unreachable":
        return void node.step({ _tag: "PeerUnreachable", peer: this.likelyGone() })
      case "suspend":
        return inject(() => this.suspend(random.chance(0.5) ? node : this.likelyLeader(node)))
      case "back up":
        return node.backUp()
      case "put back":
        return inject(() => this.disks.putBack(node))
    }
  }

  /** What happens next, as often as the fault profile says. */
  private draw() {
    const { network, profile } = this
    const { random } = this.engine
    return random.weighted([
      ["tick", profile.ticks],
      ["deliver", Math.min(80, 5 + network.size * 5)],
      ["sync", profile.sync],
      ["report", 14],
      ["apply", 14],
      ["read log", 5],
      ["snapshot", 3],
      ["propose", profile.load],
      ["read", 4],
      ["transfer", 0.3],
      ["compact", this.stranded ? 12 : profile.compact],
      ["crash", profile.crash],
      ["restart", 3],
      ["partition", profile.partition],
      ["heal", 1.5],
      ["pause", profile.pause],
      ["resume", 3],
      ["unreachable", this.nodes.every(({ isAwake }) => isAwake) ? 0.3 : 1],
      ["wipe", profile.wipe],
      ["suspend", profile.suspend],
      ["back up", profile.putBack],
      ["put back", profile.putBack],
      ["fall", profile.fall]
    ])
  }

  private suspend(node: SimNode): void {
    node.suspend(1 + this.engine.random.below(this.profile.suspendEvents))
  }

  /** A leader goes while it has entries that are not committed, and another one comes back. */
  private fall(): void {
    const { network, nodes } = this
    const { random } = this.engine
    const leader = nodes.find(({ raft }) => raft?.role === "leader" && raft.log.lastIndex > raft.commit)
    if (leader === undefined) return
    if (random.chance(0.5)) network.heal()
    for (const node of nodes) if (node.raft === undefined && random.chance(0.7)) node.start()
    if (random.chance(0.5)) leader.crash()
    else network.isolate(leader.id, nodes.map(({ id }) => id))
  }

  /**
   * A leader is cut off with a tail of its own, and for a while the others do little but compact; or a follower is,
   * with a window full of entries in flight to it, and the others write and compact.
   */
  private strand(): void {
    const { network, nodes } = this
    const { random, timeline } = this.engine
    const leader = nodes.find(({ raft }) => raft?.role === "leader")
    if (leader === undefined || this.stranded) return
    this.stranded = true
    timeline.after(strandedDraws, () => {
      this.stranded = false
      network.heal()
    })
    this.quiet = random.chance(0.5)
    network.heal()
    if (this.quiet) network.isolate(leader.id, nodes.map(({ id }) => id))
    const follower = nodes.find(({ id }) => id !== leader.id)
    if (!this.quiet && follower !== undefined) network.cut(leader.id, follower.id)
    for (let left = 2 + random.below(4); left > 0; left--) this.propose(leader)
  }

  /** Mostly a node that believes it leads, and sometimes the one drawn, whatever it is. */
  private likelyLeader(drawn: SimNode): SimNode {
    if (this.engine.random.chance(0.2)) return drawn
    const leaders = this.nodes.filter(({ raft }) => raft?.role === "leader")
    return leaders.length === 0 ? drawn : this.engine.random.pick(leaders)
  }

  /** Crashes hit nodes that are writing more often than chance alone would have it. */
  private crash(drawn: SimNode): void {
    const writing = this.nodes.filter(({ disk }) => disk.unsynced.length > 0)
    const node = writing.length > 0 && this.engine.random.chance(0.5)
      ? this.engine.random.pick(writing)
      : this.engine.random.chance(0.5)
      ? this.likelyLeader(drawn)
      : drawn
    if (node.raft !== undefined) node.crash()
  }

  /** A node that is no voter yet, sometimes, and otherwise mostly one that leads. */
  private likelyLoser(drawn: SimNode): SimNode {
    const learner = this.nodes.find(({ disk }) => !disk.votes)
    if (learner !== undefined && this.engine.random.chance(0.1)) return learner
    return this.engine.random.chance(0.5) ? drawn : this.likelyLeader(drawn)
  }

  /** Mostly a node that does not answer. */
  private likelyGone(): NodeId {
    const gone = this.nodes.filter(({ isAwake }) => !isAwake)
    return gone.length > 0 && this.engine.random.chance(0.7)
      ? this.engine.random.pick(gone).id
      : NodeId(1 + this.engine.random.below(3))
  }

  private deliver(): void {
    const sent = this.network.take()
    if (sent === undefined) return
    const node = this.nodes[sent.to - 1]
    if (node === undefined || node.paused) return
    const message = this.flips.pass(sent)
    if (message !== sent) this.engine.probes.hit("a bit flipped in a term")
    node.step({ _tag: "Receive", message })
  }

  private propose(node: SimNode): void {
    const proposals = Array.from({ length: 1 + this.engine.random.below(3) }, () => {
      this.lastId += 1
      return { id: this.lastId, payload: new TextEncoder().encode(`p${this.lastId}`) }
    })
    node.step({ _tag: "Propose", proposals, nowMs: 0 })
  }

  private read(node: SimNode): void {
    if (node.raft === undefined) return
    this.lastId += 1
    if (this.world.mutant === "serves reads without a round" && node.raft.role === "leader") {
      this.world.oracle.asks(node, this.lastId)
      return this.world.oracle.readsServed(node, [this.lastId], node.raft.commit)
    }
    node.step({ _tag: "ReadIndex", readId: this.lastId })
  }

  private sendSnapshot(node: SimNode): void {
    if (node.isSuspended) return
    const request = node.nextSnapshot()
    const target = request === undefined ? undefined : this.nodes[request.peer - 1]
    if (request === undefined || target === undefined) return
    const point = node.snapshot()
    const arrives = !this.network.isCut(node.id, request.peer) && !this.engine.random.chance(this.network.faults.drop)
    const installed = point !== undefined && arrives && target.install(point)
    if (!installed) this.engine.probes.hit("a snapshot failed")
    node.reportSnapshotLater(request.peer, installed ? point : undefined)
  }

  private partition(node: SimNode): void {
    const ids = this.nodes.map(({ id }) => id)
    if (this.engine.random.chance(0.5)) return this.network.isolate(node.id, ids)
    const other = this.engine.random.pick(ids)
    if (other !== node.id) this.network.cut(node.id, other)
  }

  /** From now on the network carries everything, and every node runs. */
  private endFaults(): void {
    this.engine.trace?.("the faults end")
    this.calm = true
    this.staleLeader.end()
    this.network.heal()
    this.network.faults = noFaults
    for (const node of this.nodes) {
      node.paused = false
      node.wake()
      if (node.raft === undefined) node.start()
    }
  }
}
