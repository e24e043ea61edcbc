/**
 * Asks the system for the addresses of a name, as `getaddrinfo` finds them: with `/etc/hosts`, search domains, mDNS
 * and whatever else `nsswitch.conf` names. That call has three faults for a database: it runs in the thread pool that
 * the disk needs, it cannot be cancelled, and a process does not exit before it has ended, which without a name server
 * is ten seconds or more.
 *
 * So a question goes ahead to the name servers by themselves, which takes no thread and has a limit. Only when one of
 * them answers, whatever it says, `getaddrinfo` is called: it then ends soon. Names that need no name server are
 * spared the question.
 */
import type { LookupAddress } from "node:dns"
import dns from "node:dns"
import { readFile } from "node:fs/promises"
import { hostname } from "node:os"

export type Address = LookupAddress

/** Connecting leaves out the kinds of addresses that this machine has none of; listening does not. */
export type Purpose = "connect" | "listen"

/** Gives the addresses of a name, at least one, or rejects with the system's error. */
export type NameService = (host: string, purpose: Purpose) => Promise<ReadonlyArray<Address>>

/** Milliseconds within which one of the name servers has to answer. */
export const answerMs = 5_000

/** Calls of `getaddrinfo` at a time: libuv gives them half of its threads at most, four by default. */
export const maxCalls = 2

/** No name server answered. */
export class NoNameServer extends Error {
  readonly code = "EAI_AGAIN"

  constructor() {
    super(`no name server answered within ${answerMs} ms`)
  }
}

/** What the service asks. */
export interface Sources {
  /** Names that are known without a name server: those in `/etc/hosts`. */
  readonly hostsFile: () => Promise<string>
  /** Whether a name server answered, whatever it said. */
  readonly answered: (host: string) => Promise<boolean>
  /** `getaddrinfo`. */
  readonly addresses: (host: string, purpose: Purpose) => Promise<ReadonlyArray<Address>>
}

const answered = (host: string): Promise<boolean> => {
  // Made for each question, so that it follows changes of resolv.conf.
  const resolver = new dns.promises.Resolver({ timeout: 1_500, tries: 2 })
  const timer = setTimeout(() => resolver.cancel(), answerMs)
  return resolver.resolve4(host).then(
    () => true,
    (error: NodeJS.ErrnoException) => error.code !== dns.TIMEOUT && error.code !== dns.CANCELLED
  ).finally(() => clearTimeout(timer))
}

const systemSources: Sources = {
  hostsFile: () => readFile("/etc/hosts", "utf8"),
  answered,
  addresses: (host, purpose) =>
    new Promise((resolve, reject) => {
      dns.lookup(host, { all: true, hints: purpose === "connect" ? dns.ADDRCONFIG : 0 }, (error, found) =>
        error === null ? resolve(found) : reject(error))
    })
}

/** Numbers, mDNS and this machine's own names: no name server is asked for them. */
const isLocal = (host: string): boolean =>
  host.includes(":") || /^[\d.]+$/.test(host) || /(?:^|\.)(?:localhost|local)\.?$/i.test(host) ||
  host.toLowerCase() === hostname().toLowerCase()

/** Whether a hosts file has a name. */
export const hostsFileNames = (text: string, host: string): boolean => {
  const name = host.toLowerCase()
  return text.split("\n").some((line) => {
    const [, ...names] = line.replace(/#.*/, "").trim().toLowerCase().split(/\s+/)
    return names.includes(name)
  })
}

/** Work of which so much runs at a time, in the order in which it came. */
class Permits {
  private free: number
  private readonly waiting: Array<() => void> = []

  constructor(count: number) {
    this.free = count
  }

  async run<A>(work: () => Promise<A>): Promise<A> {
    if (this.free > 0) this.free--
    else await new Promise<void>((resolve) => this.waiting.push(resolve))
    try {
      return await work()
    } finally {
      const next = this.waiting.shift()
      if (next === undefined) this.free++
      else next()
    }
  }
}

export const systemNameService = (sources: Sources = systemSources): NameService => {
  const calls = new Permits(maxCalls)
  return async (host, purpose) => {
    const known = isLocal(host) || hostsFileNames(await sources.hostsFile().catch(() => ""), host)
    if (!known && !(await sources.answered(host))) throw new NoNameServer()
    return calls.run(() => sources.addresses(host, purpose))
  }
}
