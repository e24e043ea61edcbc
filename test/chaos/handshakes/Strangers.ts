/** Processes that connect to ports and begin no TLS handshake there, or begin nothing at all. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { join } from "node:path"
import { text } from "node:stream/consumers"

/** A port that strangers connect to. */
export interface StrangersPort {
  readonly kind: PortKind
  readonly host: string
  readonly port: number
}

export const portKinds = ["client", "peer", "http"] as const
export type PortKind = (typeof portKinds)[number]

/** How many connections each kind of port gets, over all nodes and processes. */
export type PerKind = Readonly<Record<PortKind, number>>

export interface StrangersPlan {
  readonly ports: ReadonlyArray<StrangersPort>
  /** Connections that send a few bytes. */
  readonly talking: PerKind
  /** Connections that send nothing. */
  readonly silent: PerKind
  /** Talking connections that begin in a second, at most, over all processes. */
  readonly perSecond: number
  /** Talking connections that are open at a time, at most, over all processes. */
  readonly maxOpen: number
  readonly processes: number
}

/** What became of the connections. */
export interface StrangersReport {
  /** Talking connections that were made and that the node ended. */
  readonly talkingEnded: PerKind
  readonly silentEnded: PerKind
  /** Connections of both kinds that could not be made. */
  readonly unmade: number
}

/** The part of one process, as it is given to the program. */
export interface StrangersShare extends Omit<StrangersPlan, "processes"> {
  /** The address that it connects from: each process has one, so that there are enough ports to connect from. */
  readonly from: string
}

const part = (total: number, i: number, of: number): number =>
  Math.floor(total * (i + 1) / of) - Math.floor(total * i / of)

const perKind = (value: (kind: PortKind) => number): PerKind => ({
  client: value("client"),
  peer: value("peer"),
  http: value("http")
})

const sharesOf = (plan: StrangersPlan): ReadonlyArray<StrangersShare> =>
  Array.from({ length: plan.processes }, (_, i) => ({
    ports: plan.ports,
    talking: perKind((kind) => part(plan.talking[kind], i, plan.processes)),
    silent: perKind((kind) => part(plan.silent[kind], i, plan.processes)),
    perSecond: Math.max(1, Math.floor(plan.perSecond / plan.processes)),
    maxOpen: Math.max(1, Math.floor(plan.maxOpen / plan.processes)),
    from: `127.0.0.${2 + i}`
  }))

const program = join(import.meta.dirname, "strangers-process.ts")

const carryOut = async (share: StrangersShare, signal: AbortSignal): Promise<StrangersReport> => {
  const child = spawn(process.execPath, [program, JSON.stringify(share)], {
    stdio: ["pipe", "pipe", "inherit"],
    signal,
    killSignal: "SIGKILL"
  })
  // Aborting is an error of the child as well; what `once` throws says enough.
  child.on("error", () => undefined)
  const [output, [code]] = await Promise.all([text(child.stdout), once(child, "close")])
  if (code !== 0) throw new Error(`a process of strangers ended with ${String(code)}`)
  return JSON.parse(output) as StrangersReport
}

/** Has the plan carried out, and says what became of it once the last connection has ended. */
export const visit = async (plan: StrangersPlan, signal: AbortSignal): Promise<StrangersReport> => {
  const reports = await Promise.all(sharesOf(plan).map((share) => carryOut(share, signal)))
  const total = (of: (report: StrangersReport) => number) => reports.reduce((sum, report) => sum + of(report), 0)
  return {
    talkingEnded: perKind((kind) => total(({ talkingEnded }) => talkingEnded[kind])),
    silentEnded: perKind((kind) => total(({ silentEnded }) => silentEnded[kind])),
    unmade: total(({ unmade }) => unmade)
  }
}
