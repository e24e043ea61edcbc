/** Three nodes, runners beside them, clients at work, and whatever is needed to see what becomes of the messages. */
import { Effect, ManagedRuntime, Stream } from "effect"
import { setTimeout as wait } from "node:timers/promises"
import { Actors } from "../../../src/actors/index.ts"
import { ClusterKeys } from "../../../src/actors/cluster/ClusterKeys.ts"
import { defaultPrefix } from "../../../src/actors/persistence/Keys.ts"
import { Access, ClusterAdmin, KeyValue, Watch } from "../../../src/client/index.ts"
import { Random } from "../../simulation/Random.ts"
import type { Child } from "../Child.ts"
import type { NodeProcess } from "../NodeProcess.ts"
import { findPorts } from "../../../src/cli/launch/FreePorts.ts"
import { Site } from "../Site.ts"
import { until } from "../Until.ts"
import * as Load from "./Load.ts"
import { Owners } from "./Owners.ts"
import type { RunnerIdentity } from "./RunnerProcess.ts"
import { RunnerProcess } from "./RunnerProcess.ts"
import { effectsPrefix, holdersPrefix, message, Tally, tallyPrefix } from "./Tally.ts"

/** The default of `limitMs`. */
const defaultLimitMs = 90_000

type Services = ManagedRuntime.ManagedRuntime.Services<ReturnType<typeof makeRuntime>>

const makeRuntime = ({ certificates, endpoints }: Site) =>
  ManagedRuntime.make(Actors.layerClientOnly({ endpoints, client: { tls: certificates?.tls } }))

export interface StageOptions {
  readonly seed: number
  readonly runners: number
  readonly entities: number
  readonly inFlight: number
  readonly perSecond: number
  /** Whether nodes and their clients have certificates. Runners call each other without, as Effect Cluster does. */
  readonly tls?: boolean | undefined
  readonly note: (line: string) => void
  /** Milliseconds within which a thing has to happen that a machine at rest does in a few seconds. Default 90,000. */
  readonly limitMs?: number | undefined
}

export class Stage {
  readonly site: Site
  readonly runners: Array<RunnerProcess> = []
  readonly ledger = new Load.Ledger()
  readonly owners: Owners
  readonly options: StageOptions
  /** Chance of its own, so that what clients draw does not change what is done to the processes. */
  readonly random: Random
  private readonly keys = new ClusterKeys({})
  private readonly runtime: ReturnType<typeof makeRuntime>
  private readonly ends: Array<() => Promise<void>> = []
  private readonly limitMs: number
  private names = 0
  private identity: RunnerIdentity | undefined

  private constructor(site: Site, options: StageOptions) {
    this.site = site
    this.options = options
    this.limitMs = options.limitMs ?? defaultLimitMs
    this.owners = new Owners((shard) => this.keys.lock(shard))
    this.random = new Random(options.seed + 1)
    this.runtime = makeRuntime(site)
  }

  /** Nodes and runners that serve, with clients at work. Closes what it began when that fails. */
  static async open(options: StageOptions): Promise<Stage> {
    const stage = new Stage(await Site.open({ tls: options.tls }), options)
    try {
      await stage.begin()
      return stage
    } catch (error) {
      const logs = stage.runners.flatMap(({ log, name }) => log.slice(-15).map((line) => `    ${name}: ${line}`))
      await stage.close()
      throw new Error([String(error), ...logs].join("\n"), { cause: error })
    }
  }

  run<A, E>(effect: Effect.Effect<A, E, Services>): Promise<A> {
    return this.runtime.runPromise(effect)
  }

  private async begin(): Promise<void> {
    await this.site.start()
    this.identity = await this.makeUser()
    await this.watch()
    for (let i = 0; i < this.options.runners; i++) await this.addRunner()
    await Promise.all(this.runners.map((runner) => this.start(runner)))
    await this.everyEntityAnswers("at the beginning")
  }

  /** Where there are certificates, all runners are one user, which has their prefixes and no others. */
  private async makeUser(): Promise<RunnerIdentity | undefined> {
    const { certificates } = this.site
    if (certificates === undefined) return undefined
    const prefixes = [defaultPrefix, tallyPrefix]
    const { token } = await this.run(
      Effect.flatMap(Access, (access) =>
        access.putRole("actors", { read: prefixes, write: prefixes }).pipe(
          Effect.andThen(access.putUser("runners", { roles: ["actors"] })),
          Effect.andThen(access.createToken("runners"))
        ))
    )
    return { authorities: certificates.authorities, token }
  }

  /** Sees every lock and every effect, in the order of their revisions, from before the first runner on. */
  private async watch(): Promise<void> {
    const began = Promise.withResolvers<void>()
    const locks = this.keys.lock("")
    const end = new AbortController()
    const over = this.runtime.runPromise(
      Effect.flatMap(
        Watch,
        (watch) =>
          Stream.runForEach(watch.notices({ prefixes: [effectsPrefix, locks] }), (notice) =>
            Effect.sync(() => {
              if (notice._tag === "Began") began.resolve()
              if (notice._tag === "Changes") this.owners.saw(notice.revision, notice.events)
            }))
      ),
      { signal: end.signal }
    )
    over.catch((error: unknown) => {
      if (end.signal.aborted) return
      this.owners.problems.push(`the watch of locks and effects ended: ${String(error)}`)
      began.reject(error)
    })
    this.ends.push(async () => {
      end.abort()
      await over.catch(() => undefined)
    })
    await began.promise
  }

  /** Clients work from now until the returned function has been called and the last message is answered. */
  load(): () => Promise<void> {
    let stopped = false
    const { entities, inFlight, perSecond, seed } = this.options
    const over = this.run(Load.run(this.ledger, {
      random: new Random(seed),
      entities,
      inFlight,
      perSecond,
      stopped: () => stopped
    }))
    over.catch(() => undefined)
    return () => {
      stopped = true
      return within(over, this.limitMs, "the last messages are answered")
    }
  }

  /** A runner that does not run yet, at an address of its own. */
  async addRunner(): Promise<RunnerProcess> {
    const [port = 0] = await findPorts(1)
    this.names += 1
    const runner = await RunnerProcess.make(
      `runner-${this.names}`,
      port,
      this.site.endpoints.map(({ port: door }) => door),
      this.identity
    )
    this.runners.push(runner)
    return runner
  }

  async start(child: Child): Promise<void> {
    const log = () => `\n${child.log.slice(-20).join("\n")}`
    const ended = await within(child.start(), this.limitMs, `${child.name} is ready`).catch((error: unknown) => {
      throw new Error(`${String(error)}${log()}`)
    })
    if (ended !== undefined) throw new Error(`${child.name} did not start (${ended.code ?? ended.signal}):${log()}`)
  }

  /** Ends a runner in good order. */
  async leave(runner: RunnerProcess): Promise<void> {
    const { code, signal } = await within(runner.end("SIGTERM"), this.limitMs, `${runner.name} ends`)
    // The exit code of a process that was interrupted.
    if (code !== 0 && code !== 130 && code !== 143) throw new Error(`${runner.name} ended with ${code ?? signal}`)
  }

  /** The node that leads. */
  async leader(): Promise<NodeProcess> {
    let found: NodeProcess | undefined
    await until("a node leads", this.limitMs, async () => {
      found = await this.site.leader()
      return found !== undefined
    })
    return found as NodeProcess
  }

  /** Has another node lead than this one. */
  async transferFrom(node: NodeProcess): Promise<void> {
    await until(`another node than ${node.id} leads`, this.limitMs, async () => {
      if (await this.leader() !== node) return true
      await this.run(Effect.flatMap(ClusterAdmin, (admin) => Effect.ignore(admin.transferLeader())))
      return false
    })
  }

  /** Sends a message to each entity; gives the milliseconds until the last of them has answered. */
  async everyEntityAnswers(when: string): Promise<number> {
    const beganMs = performance.now()
    const { entities } = this.options
    await within(this.run(Load.everyEntity(this.ledger, entities)), this.limitMs, `every entity answers ${when}`)
    return performance.now() - beganMs
  }

  /**
   * Does something to a runner in the middle of a message, so that another one takes the message over, and has the first
   * one try to commit it after all. `undo` is called once another runner has begun with it.
   */
  async depose(
    inTheMiddle: (victim: RunnerProcess) => void,
    undo: (victim: RunnerProcess) => void
  ): Promise<RunnerProcess> {
    const { entities } = this.options
    const id = this.ledger.next
    const entity = Load.entityName(this.random.below(entities))
    let isAnswered = false
    const answered = this.run(
      Effect.flatMap(Tally.client, (tally) => this.ledger.answer(entity, id, tally(entity).Hold(message(id))))
    ).then(() => {
      isAnswered = true
    })
    const first = await this.holderOf(id, [])
    const victim = this.runners.find((runner) => runner.wrote(first))
    if (victim === undefined) throw new Error(`${first} has a message and is no runner that runs`)
    inTheMiddle(victim)
    await this.holderOf(id, [first])
    const address = `127.0.0.1:${victim.port}`
    const taken = this.owners.taken(address)
    undo(victim)
    // Its late commit has come to the store by the time that shards move to it again.
    await until(`${victim.name} has shards again`, this.limitMs, () => this.owners.taken(address) > taken || isAnswered)
    await until(`message ${id} is answered`, this.limitMs, async () => {
      // It may have moved back meanwhile.
      for (const runner of this.runners) if (runner.running) runner.openGate()
      await wait(50)
      return isAnswered
    })
    await answered
    return victim
  }

  /** The process that has begun with a message that is held, besides those that are named. */
  private async holderOf(id: string, besides: ReadonlyArray<string>): Promise<string> {
    const prefix = `${holdersPrefix}${id}/`
    let found: string | undefined
    await until(`a runner has message ${id}, besides ${besides.join(", ") || "none"}`, this.limitMs, async () => {
      const { entries } = await this.run(Effect.flatMap(KeyValue, (kv) => kv.scan(prefix)))
      found = entries.map(({ keyText }) => keyText.slice(prefix.length)).find((by) => !besides.includes(by))
      if (found === undefined) await wait(20)
      return found !== undefined
    })
    return found as string
  }

  /** Waits until the watch has told of so many effects. */
  async seen(effects: number): Promise<void> {
    await until(`the watch tells of ${effects} effects`, this.limitMs, () => this.owners.effects >= effects)
  }

  /** Ends a runner in good order and for good. */
  async remove(runner: RunnerProcess): Promise<void> {
    await this.leave(runner)
    this.runners.splice(this.runners.indexOf(runner), 1)
    await runner.close()
  }

  /** In a line for people. */
  get state(): string {
    return `${this.ledger.answered} answers, ${this.owners.effects} effects`
  }

  /** What ended without being told to. Each end is told once. */
  surprises(): ReadonlyArray<string> {
    return [
      ...this.site.ends(),
      ...this.runners.flatMap(({ log, name, surprises }) =>
        surprises.splice(0).map(({ code, signal }) =>
          `${name} ended by itself (${code ?? signal}): ${log.slice(-8).join("\n")}`
        )
      )
    ]
  }

  /** Ends every process and removes everything. */
  async close(): Promise<void> {
    for (const runner of this.runners) runner.resume()
    for (const end of this.ends.toReversed()) await end()
    await Promise.all(this.runners.map((runner) => runner.close()))
    // What the client would still ask is not answered any more.
    await Promise.race([this.runtime.dispose(), wait(5_000, undefined, { ref: false })])
    await this.site.close()
  }
}

const within = async <A>(promise: Promise<A>, ms: number, what: string): Promise<A> => {
  const over = new AbortController()
  const late = wait(ms, undefined, { signal: over.signal }).then(() => {
    throw new Error(`${what}: not within ${ms} ms`)
  })
  late.catch(() => undefined)
  try {
    return await Promise.race([promise, late])
  } finally {
    over.abort()
  }
}
