/**
 * Three Raft cores on a network and disks that are simulated as well. Time is counted in draws: with each one thing happens, whichever,
 * and what takes several draws is due on the timeline. Faults and load for a while, then quiet, in which everybody must agree.
 */
import { describeState } from "../../../src/raft/Describe.ts"
import type { LogPoint } from "../../../src/raft/Types.ts"
import { NodeId } from "../../../src/raft/Types.ts"
import type { Engine, Phase, World as SimWorld } from "../engine/Engine.ts"
import { demand, Oracle } from "../engine/Oracle.ts"
import { Steps } from "../engine/Steps.ts"
import { TermFlips } from "../engine/TermFlips.ts"
import type { Mutant } from "./MutantDriver.ts"
import { noFaults, SimNetwork } from "./SimNetwork.ts"
import type { Probe } from "./Probes.ts"
import { probes } from "./Probes.ts"
import type { World } from "./SimNode.ts"
import { SimNode } from "./SimNode.ts"
import { StaleCore } from "./StaleLeader.ts"
import type { Weather } from "./Weather.ts"
import { drawWeather } from "./Weather.ts"

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
  private readonly weather: Weather
  private readonly network: SimNetwork
  private readonly nodes: ReadonlyArray<SimNode>
  private readonly world: World
  private readonly staleLeader: StaleCore
  private lastId = 0
  /** Whether those who were parted by {@link strand} have yet to meet again. */
  private stranded = false
  /** Whether little is proposed meanwhile. */
  private quiet = false
  private calm = false
  private draws = 0
  /** What everybody has to apply in the end. */
  private goal: LogPoint | undefined

  constructor(engine: Engine<Probe>, mutant: Mutant | undefined) {
    this.engine = engine
    const { probes, random, seed, timeline, trace } = engine
    this.weather = drawWeather(random)
    this.network = new SimNetwork(random, this.weather.network)
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
    this.staleLeader = new StaleCore({
      ...this.world,
      nodes,
      propose: (node) => this.propose(node),
      stop: (node) => node.suspend(Number.MAX_SAFE_INTEGER),
      wake: (node) => node.wake(),
      kill: (node) => node.crash(),
      wipe: (node) => {
        this.wipe(node)
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
        isOver: () => this.agree || this.draws === roughDraws + calmRounds,
        withinMs: Infinity,
        end: () => demand(this.agree, "convergence", () => `not after ${calmRounds} ticks:\n${this.states}`)
      }
    ]
  }

  /** One draw after the other. What is due at the same time comes before it. */
  private next(): void {
    this.engine.timeline.after(1, () => {
      this.draws += 1
      if (this.calm) this.converge()
      else this.happen()
      this.next()
    })
  }

  /** One thing happens, whichever. */
  private happen(): void {
    const { network, weather } = this
    const { inject, random } = this.engine
    if (weather.crash > 0 && random.chance(0.1)) {
      const tearable = this.nodes.find(({ disk }) => disk.couldTear)
      if (tearable !== undefined) return inject(() => tearable.crash())
    }
    const node = random.pick(this.nodes)
    switch (
      random.weighted([
        ["tick", weather.ticks],
        ["deliver", Math.min(80, 5 + network.size * 5)],
        ["sync", weather.sync],
        ["report", 14],
        ["apply", 14],
        ["read log", 5],
        ["snapshot", 3],
        ["propose", weather.load],
        ["read", 4],
        ["transfer", 0.3],
        ["compact", this.stranded ? 12 : weather.compact],
        ["crash", weather.crash],
        ["restart", 3],
        ["partition", weather.partition],
        ["heal", 1.5],
        ["pause", weather.pause],
        ["resume", 3],
        ["unreachable", this.nodes.every(({ isAwake }) => isAwake) ? 0.3 : 1],
        ["wipe", weather.wipe],
        ["suspend", weather.suspend],
        ["back up", weather.putBack],
        ["put back", weather.putBack],
        ["fall", weather.fall]
      ])
    ) {
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
          weather.profile === "short reigns"
            ? this.fall()
            : weather.profile === "stale leader"
            ? this.staleLeader.begin()
            : this.strand()
        )
      case "wipe":
        return inject(() => this.wipe(this.likelyLoser(node)))
      case "unreachable":
        return void node.step({ _tag: "PeerUnreachable", peer: this.likelyGone() })
      case "suspend":
        return inject(() => this.suspend(random.chance(0.5) ? node : this.likelyLeader(node)))
      case "back up":
        return node.backUp()
      case "put back":
        return inject(() => this.putBack(node))
    }
  }

  private suspend(node: SimNode): void {
    node.suspend(1 + this.engine.random.below(this.weather.suspendEvents))
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
   * A leader is cut off with a tail of its own, and for a while the others do little but compact; or a follower is, with a
   * window full of entries on their way to it, and the others write and compact.
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

  /** Whether every node but this one has its disk: at most one is lost at a time. */
  private othersAreWhole(node: SimNode): boolean {
    return this.nodes.length > 1 && this.nodes.every((other) => other === node || other.disk.votes)
  }

  /**
   * An older state of a directory comes back. Only a leader that remembers what the node acknowledged can tell, so that is
   * when it is done: it leads the node's present term, has an acknowledgement of the node in this term, and the two can reach
   * each other. Its next heartbeat is the first thing that the node hears, and what the node learns from it is durable before
   * anything else happens. What the node had sent and nobody received is lost with its connections.
   */
  private putBack(node: SimNode): void {
    const { network, nodes } = this
    if (!node.canPutBack || !node.disk.votes || !this.othersAreWhole(node)) return
    const leader = nodes.find(({ id, isAwake, raft }) =>
      isAwake && raft?.role === "leader" && raft.term === node.disk.hardState.term && id !== node.id &&
      !network.isCut(id, node.id) && !network.isCut(node.id, id)
    )
    const told = leader?.step({ _tag: "Tick" }) ?? []
    const heartbeat = told.flatMap((output) => output._tag === "Send" ? output.messages : [])
      .find(({ _tag, to }) => _tag === "Heartbeat" && to === node.id)
    const { raft } = leader ?? {}
    const match = raft?.leadership?.progress.get(node.id)?.match
    if (raft?.leadership === undefined || heartbeat === undefined || match === undefined) return
    if (match < raft.leadership.termStart) return
    const term = raft.log.termAt(match)
    node.putBack()
    const { base } = node.disk
    const lacks = term !== undefined && base.index < match && node.disk.termAt(match) !== term
    node.step({ _tag: "Receive", message: heartbeat })
    demand(
      !lacks || node.raft?.membership === "learner",
      "a directory that went back is noticed",
      () => `n${node.id} has lost ${match}@${term}, which its leader n${leader?.id} knows that it acknowledged`
    )
    node.sync(1_000)
    node.report()
  }

  /** With two of three disks gone nobody could tell what was promised. */
  private wipe(node: SimNode): void {
    if (!this.othersAreWhole(node)) return
    if (this.nodes.some(({ isSuspended }) => isSuspended)) {
      this.engine.probes.hit("a disk was lost while another node was suspended")
    }
    node.wipe()
    node.disk.forgetTruncation = this.world.mutant === "forgets to truncate"
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

  /** Time passes, and whoever leads gets a command that all have to apply. */
  private converge(): void {
    for (const node of this.nodes) node.step({ _tag: "Tick" })
    this.settle()
    const leader = this.nodes.find(({ raft }) => raft?.role === "leader")
    // A deposed leader may have taken the command; then the next one is asked.
    if (leader?.raft === undefined || this.goal?.term === leader.raft.term) return
    const before = leader.raft.log.lastIndex
    this.propose(leader)
    this.goal = leader.raft.log.lastIndex > before ? leader.raft.log.last : undefined
    this.settle()
  }

  private get agree(): boolean {
    const index = this.goal?.index
    return index !== undefined && this.nodes.every(({ appliedIndex }) => appliedIndex >= index)
  }

  private get states(): string {
    return this.nodes.map(({ raft }) => raft === undefined ? "down" : describeState(raft)).join("\n")
  }

  private settle(): void {
    for (let at = 0; at < 40; at++) {
      for (let left = this.network.size; left > 0; left--) this.deliver()
      for (const node of this.nodes) {
        node.sync(10)
        node.report()
        node.apply()
        node.answerLogRead()
        this.sendSnapshot(node)
        node.reportSnapshot()
      }
      if (this.network.size === 0) return
    }
  }
}
