/**
 * A seeded life of a cluster of whole nodes: the driver, the state machine and the stores are those of production, on a
 * simulated network, disk and clock. Faults and clients for a while, then quiet, in which everybody must agree and serve.
 */
import { Effect } from "effect"
import type { FlareDbConfig } from "../../../src/config/FlareDbConfig.ts"
import * as Config from "../../../src/config/index.ts"
import { describeEvent, describeOutputLines } from "../../../src/raft/Describe.ts"
import type { Event } from "../../../src/raft/Event.ts"
import type { Message } from "../../../src/raft/Message.ts"
import type { Output } from "../../../src/raft/Output.ts"
import type { Raft } from "../../../src/raft/Raft.ts"
import type { Entry, NodeId } from "../../../src/raft/Types.ts"
import { outputProbe } from "../OutputProbes.ts"
import { demand, Oracle } from "../Oracle.ts"
import { Random } from "../Random.ts"
import { TermFlips } from "../TermFlips.ts"
import { Answers } from "./Answers.ts"
import { Client } from "./Client.ts"
import type { ClientWorld } from "./Client.ts"
import { Faults } from "./Faults.ts"
import { Ledger } from "./Ledger.ts"
import { Probes } from "./Probes.ts"
import { drawRates } from "./Rates.ts"
import { SimNetwork } from "./SimNetwork.ts"
import type { NodeWatcher } from "./SimNode.ts"
import { SimNode } from "./SimNode.ts"
import { Timeline } from "./Timeline.ts"
import { Watcher } from "./Watcher.ts"

export interface SimulationOptions {
  readonly seed: number
  readonly probes?: Probes
  /** Called with each line of a readable account. */
  readonly trace?: ((line: string) => void) | undefined
}

/** The faults last until this much has happened and this much time has passed, but no longer than that, in milliseconds. */
const roughEvents = 2_000
const roughMsMin = 2_400
const roughMsMax = 8_000

/** How long the cluster may take to be well again, in milliseconds. */
const calmMs = 6_000

/** The clocks of two machines differ by this share at most. */
const maxDrift = 0.01

export class Simulation {
  /** What happened: everything that reached a node, a client or a disk. */
  events = 0
  private readonly random: Random
  private readonly timeline = new Timeline()
  private readonly network: SimNetwork
  private readonly nodes: Array<SimNode> = []
  private readonly oracle: Oracle
  private readonly ledger = new Ledger()
  private readonly answers = new Answers()
  private readonly probes: Probes
  private readonly faults: Faults
  private readonly clients: Array<Client> = []
  private readonly watchers: Array<Watcher> = []
  private readonly trace: ((line: string) => void) | undefined
  /** What broke first. */
  private complaint: unknown
  /** When an entry was first written anywhere, by `index/term`. */
  private readonly appendedMs = new Map<string, number>()
  /** When the entry that last gave a lease its time was written, and the term it was written in. */
  private readonly renewals = new Map<number, { readonly atMs: number; readonly term: number }>()

  constructor(options: SimulationOptions) {
    const { probes = new Probes(), seed, trace } = options
    this.probes = probes
    this.random = new Random(seed)
    const { random, timeline } = this
    this.trace = trace === undefined
      ? undefined
      : (line) => trace(`${timeline.nowMs.toFixed(2).padStart(9)} ${line}`)
    const rates = drawRates(random)
    const flips = new TermFlips(seed)
    this.network = new SimNetwork(random, timeline, rates.network, flips)
    this.oracle = new Oracle(this.nodes, flips, { repeats: true })
    this.faults = new Faults({
      random,
      timeline,
      network: this.network,
      nodes: this.nodes,
      probes,
      trace: this.trace,
      rates
    })
    const world = {
      random,
      timeline,
      network: this.network,
      watcher: this.watcher(),
      health: (id: NodeId) => this.faults.healthOf(id)
    }
    const ids = seed % 10 === 0 ? [1] : [1, 2, 3]
    for (const id of ids) {
      // Nobody has set the clocks of these machines.
      const wallOffsetMs = 1_700_000_000_000 + random.pick([0, 0, 3_600_000, -3_600_000, random.below(1_000)])
      const rate = 1 + (random.next() * 2 - 1) * maxDrift
      this.nodes.push(new SimNode(configOf(id, ids, rates.limits), world, { wallOffsetMs, rate }))
    }
    const clientWorld: ClientWorld = {
      random,
      timeline,
      nodes: this.nodes,
      ledger: this.ledger,
      answers: this.answers,
      probes,
      trace: this.trace,
      pauseMs: rates.pauseMs,
      brinkmanship: rates.brinkmanship
    }
    for (let id = 1; id <= rates.clients; id++) this.clients.push(new Client(id, clientWorld))
    for (let id = 1; id <= 2; id++) this.watchers.push(new Watcher(id, clientWorld))
  }

  /** @throws Violation, or what a node throws, when a promise is broken. */
  run(): void {
    for (const node of this.nodes) node.start()
    this.faults.begin()
    this.until(() => this.events >= roughEvents && this.timeline.nowMs >= roughMsMin, roughMsMax)
    this.trace?.("the faults end")
    this.faults.end()
    const calmFromMs = this.timeline.nowMs
    const served = this.answers.acknowledged
    this.until(() => this.isWell() && this.answers.acknowledged > served + 2, calmMs)
    demand(
      this.isWell() && this.answers.acknowledged > served,
      "convergence",
      () => `not well ${Math.round(this.timeline.nowMs - calmFromMs)} ms after the faults ended:\n${this.states()}`
    )
    for (const client of this.clients) client.retire()
    this.until(() => this.isSettled(), calmMs)
    demand(this.isSettled(), "convergence", () => `the nodes do not agree:\n${this.states()}`)
    this.conclude()
  }

  private until(done: () => boolean, withinMs: number): void {
    const endMs = this.timeline.nowMs + withinMs
    for (let checked = 0; this.timeline.nowMs < endMs; checked++) {
      if (checked % 32 === 0 && done()) return
      this.timeline.next()?.()
      this.events += 1
      if (this.complaint !== undefined) throw this.complaint
    }
  }

  /** A complaint within a process would be taken for a failure of that node: it is kept, and ends the simulation. */
  private heard<A>(look: () => A): A {
    try {
      return look()
    } catch (error) {
      this.complaint ??= error
      throw error
    }
  }

  /** Everybody runs, votes, and follows a leader that commits. */
  private isWell(): boolean {
    const leader = this.nodes.find(({ raft }) => raft?.role === "leader")
    return leader?.raft !== undefined &&
      this.nodes.every(({ isWhole, raft, running }) =>
        running !== undefined && raft !== undefined && isWhole && raft.leader === leader.id
      )
  }

  /** Everybody has applied everything, and whoever watches has seen it. */
  private isSettled(): boolean {
    const last = this.ledger.lastIndex
    return this.isWell() &&
      this.nodes.every(({ raft }) => raft?.applied === last && raft.log.lastIndex === last) &&
      this.watchers.every(({ from }) => from === this.ledger.revision + 1)
  }

  private states(): string {
    return this.nodes.map(({ disk, excuse, id, raft, running }) =>
      raft === undefined
        ? `n${id} is down (${excuse ?? "without a cause"}), its log ends at ${disk.lastIndex}`
        : `n${id} ${running === undefined ? "starting" : raft.role} in ${raft.term} of n${raft.leader ?? "-"}, ` +
          `${raft.membership}, applied ${raft.applied} of ${raft.commit} of ${raft.log.lastIndex}`
    ).join("\n") + `\nledger at ${this.ledger.lastIndex}, watches at ${this.watchers.map(({ from }) => from).join()}` +
      ` of ${this.ledger.revision + 1}`
  }

  /** At the end every node holds exactly what the model does, and that includes every write that was acknowledged. */
  private conclude(): void {
    const { model } = this.ledger
    for (const node of this.nodes) {
      const keys = node.userKeys().join()
      const known = [...model.keys.keys()].sort().join()
      demand(keys === known, "identical states", () => `n${node.id} has the keys ${keys}, the model ${known}`)
    }
    const { didNot, tookPlace } = this.answers.fates
    if (tookPlace > 0) this.probes.hit("a write whose fate was unknown took place")
    if (didNot > 0) this.probes.hit("a write whose fate was unknown did not take place")
  }

  private watcher(): NodeWatcher {
    return {
      stepped: (node, raft, event, outputs) => this.heard(() => this.stepped(node, raft, event, outputs)),
      sends: (node, messages) => this.heard(() => this.sends(node, messages)),
      started: (node) =>
        this.heard(() => {
          this.trace?.(`n${node.id} is up`)
          demand(
            node.unnoticed === undefined,
            "damage is never silent",
            () => `n${node.id} starts, although ${node.unnoticed}`
          )
        }),
      ended: (node, reason, ran) => this.heard(() => this.faults.ended(node, reason, ran)),
      applies: (node, entries) => this.heard(() => this.applies(node, entries)),
      applied: (node, entries, replies) =>
        this.heard(() => {
          for (const [at, entry] of entries.entries()) {
            this.ledger.answered(node.id, entry, replies[at] ?? new Uint8Array(0))
          }
        }),
      snapshotFlipped: (offer, taken) =>
        this.heard(() => {
          this.trace?.(`a bit of a snapshot flipped on its way to n${offer.to}`)
          demand(!taken, "damage is never silent", () => `n${offer.to} takes a chunk of a snapshot with a bit flipped`)
          this.probes.hit("a damaged snapshot was refused")
        }),
      snapshotArrives: (offer) => this.trace?.(`n${offer.to} gets a chunk of a snapshot through ${offer.point.index}`),
      completes: (node, index, digest) => this.heard(() => this.ledger.completes(node.id, index, digest)),
      expels: (node, peer, claim) => {
        this.trace?.(`n${node.id} closes a connection of n${peer}: ${claim}`)
        this.network.expel(node.id, peer)
        if (claim.startsWith("term ")) return this.probes.hit("a bit flipped in a term")
        this.heard(() => demand(false, "no node is accused without a cause", () => `n${node.id}: n${peer}: ${claim}`))
      },
      log: this.trace === undefined ? undefined : (node, line) => this.trace?.(`n${node.id} logs: ${line}`)
    }
  }

  private stepped(node: SimNode, raft: Raft, event: Event, outputs: ReadonlyArray<Output>): void {
    const { oracle, probes, trace } = this
    if (trace !== undefined && (outputs.length > 0 || event._tag !== "Tick")) {
      trace(`n${node.id} ${describeEvent(event)}`)
      for (const output of outputs) for (const line of describeOutputLines(output)) trace(`      ${line}`)
    }
    demand(
      node.silenced === undefined,
      "a failed write stops the node",
      () => `n${node.id} was ending, and goes on after: ${node.silenced}`
    )
    if (event._tag === "ReadIndex") oracle.asks(node.runs * 1_000_000 + node.id * 100_000_000 + event.readId)
    oracle.stepped(
      node,
      outputs.map((output) =>
        output._tag === "ReadReady"
          ? { ...output, readIds: output.readIds.map((id) => node.runs * 1_000_000 + node.id * 100_000_000 + id) }
          : output
      ),
      event
    )
    if (raft.role === "leader" && raft.commit > raft.stable) {
      probes.hit("the leader committed before its own disk had the entry")
    }
    for (const output of outputs) this.put(output)
    if (event._tag === "Compacted") probes.hit("the log was compacted")
    if (event._tag === "SnapshotReported") {
      probes.hit(event.installed === undefined ? "a snapshot broke off" : "a snapshot was sent")
    }
    if (event._tag === "SnapshotInstalled") {
      probes.hit("a snapshot was installed")
      if (this.ledger.lastIndex > event.point.index) probes.hit("a snapshot was installed while clients wrote")
    }
  }

  private put(output: Output): void {
    const { probes } = this
    const probe = outputProbe(output)
    if (probe !== undefined) probes.hit(probe)
    switch (output._tag) {
      case "DirectoryRolledBack":
        return probes.hit("a directory that was put back was noticed")
      case "Persist":
        for (const { index, term } of output.entries) {
          const key = `${index}/${term}`
          if (!this.appendedMs.has(key)) this.appendedMs.set(key, this.timeline.nowMs)
        }
        return
      case "Apply":
        if (output.entries === undefined) probes.hit("committed entries were read back")
        return
      default:
        return
    }
  }

  private sends(node: SimNode, messages: ReadonlyArray<Message>): void {
    for (const message of messages) {
      this.oracle.leaves(node, message)
      if (message._tag === "PreVoteResponse" && !message.granted) this.probes.hit("a pre-vote was refused")
      if (message._tag === "VoteResponse" && !message.granted) this.probes.hit("a vote was refused")
    }
  }

  private applies(node: SimNode, entries: ReadonlyArray<Entry>): void {
    for (const entry of entries) {
      this.oracle.applies(node, entry)
      const consequence = this.ledger.commits(node.id, entry)
      if (consequence === undefined) continue
      this.answers.committed(consequence)
      const { endedSessions, expiredLeases, decoded } = consequence
      if (endedSessions > 0) this.probes.hit("a session ended")
      const command = decoded?.command
      const appendedMs = this.appendedMs.get(`${entry.index}/${entry.term}`) ?? this.timeline.nowMs
      const renews = command?._tag === "GrantLease"
        ? entry.index
        : command?._tag === "KeepAlive"
        ? command.lease
        : undefined
      if (renews !== undefined) this.renewals.set(renews, { atMs: appendedMs, term: entry.term })
      for (const { lease, ttlMs } of expiredLeases) this.expires(entry, lease, ttlMs)
    }
  }

  /** A lease may end late and never early: its time is real time, whatever anybody's clock shows. */
  private expires(entry: Entry, lease: number, ttlMs: number): void {
    const renewal = this.renewals.get(lease)
    if (renewal === undefined) return
    this.probes.hit("a lease expired")
    if (renewal.term !== entry.term) this.probes.hit("a lease expired after a leader change")
    const endedMs = this.appendedMs.get(`${entry.index}/${entry.term}`) ?? this.timeline.nowMs
    const passedMs = endedMs - renewal.atMs
    demand(
      passedMs * (1 + 2 * maxDrift) + 2 >= ttlMs,
      "a lease keeps its time",
      () => `lease ${lease} of ${ttlMs} ms was ended by entry ${entry.index} after ${passedMs.toFixed(1)} ms`
    )
  }
}

const configOf = (id: number, ids: ReadonlyArray<number>, limits: Partial<Config.Limits>): FlareDbConfig =>
  Effect.runSync(Config.make({
    nodeId: id,
    clusterId: "simulation",
    nodes: Config.localNodes.filter((node) => ids.includes(node.id)),
    heartbeatMs: 50,
    electionTimeoutMinMs: 150,
    electionTimeoutMaxMs: 300,
    limits
  }))

/** Runs one seed and says how to run it again when it fails. */
export const simulate = (options: SimulationOptions): Simulation => {
  const simulation = new Simulation(options)
  try {
    simulation.run()
    return simulation
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new Error(`seed ${options.seed}: ${reason}\nreplay: npm run simulate -- --seed ${options.seed} --trace`, {
      cause: error
    })
  }
}
