/**
 * The connections of a port that said no `Hello` yet, and which of them gives way when the port is full. An address
 * that opens many of them pays with its own. The oldest one would be that of a client which is about to say its
 * `Hello`, when strangers open more connections in that time than the port has.
 */

interface Silent {
  readonly address: string
}

/** The oldest so many are compared. More would make a full port slow, and strangers fill it. */
const compared = 32

/** Addresses of clients that are remembered. The ones that were not seen for longest are forgotten. */
const maxKnown = 1_024

export class SilentConnections<Connection extends Silent> {
  /** In the order in which they came. */
  private readonly connections = new Set<Connection>()
  /** How many there are of each address. */
  private readonly counts = new Map<string, number>()
  /** Addresses that a client was let in from, the one that was seen last at the end. */
  private readonly known = new Set<string>()

  /** The oldest first. */
  get inOrder(): Iterable<Connection> {
    return this.connections
  }

  add(connection: Connection): void {
    this.connections.add(connection)
    this.counts.set(connection.address, this.countOf(connection) + 1)
  }

  delete(connection: Connection): void {
    if (!this.connections.delete(connection)) return
    const count = this.countOf(connection) - 1
    if (count > 0) this.counts.set(connection.address, count)
    else this.counts.delete(connection.address)
  }

  /** It said its `Hello`, and was let in. */
  admit(connection: Connection): void {
    this.delete(connection)
    this.known.delete(connection.address)
    this.known.add(connection.address)
    const [oldest] = this.known
    if (this.known.size > maxKnown && oldest !== undefined) this.known.delete(oldest)
  }

  /**
   * Which one gives way: of the oldest that of the address with the most, and among equals one of an address that no
   * client came from.
   */
  get victim(): Connection | undefined {
    let victim: Connection | undefined
    let left = compared
    for (const connection of this.connections) {
      if (victim === undefined || this.isRather(connection, victim)) victim = connection
      left -= 1
      if (left === 0) break
    }
    return victim
  }

  private isRather(connection: Connection, victim: Connection): boolean {
    const more = this.countOf(connection) - this.countOf(victim)
    return more > 0 || (more === 0 && this.known.has(victim.address) && !this.known.has(connection.address))
  }

  private countOf({ address }: Silent): number {
    return this.counts.get(address) ?? 0
  }
}

/** What connections are counted by: an IPv4 address, or the /64 of an IPv6 address, which is what one customer has. */
export const countedAddress = (address: string | undefined): string => {
  if (address === undefined) return "unknown"
  if (!address.includes(":")) return address
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)
  if (mapped?.[1] !== undefined) return mapped[1]
  const [plain = ""] = address.split("%")
  const [head = "", tail] = plain.split("::")
  const first = head === "" ? [] : head.split(":")
  const last = tail === undefined || tail === "" ? [] : tail.split(":")
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - first.length - last.length)
  const groups = [...first, ...new Array<string>(zeros).fill("0"), ...last]
  return `${groups.slice(0, 4).map((group) => group.toLowerCase()).join(":")}::/64`
}
