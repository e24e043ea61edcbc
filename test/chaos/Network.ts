/** Three nodes and the ways between them and to their clients, each way through a proxy of its own. */
import type { NodeAddress } from "../../src/config/NodeAddress.ts"
import type { Fault } from "./Proxy.ts"
import { healthy, Proxy } from "./Proxy.ts"

export class Network {
  private readonly links = new Map<string, Proxy>()
  private readonly doors = new Map<number, Proxy>()
  private readonly addresses: ReadonlyArray<NodeAddress>

  constructor(addresses: ReadonlyArray<NodeAddress>) {
    this.addresses = addresses
  }

  async open(): Promise<void> {
    for (const to of this.addresses) {
      this.doors.set(to.id, new Proxy(to.clientPort))
      for (const from of this.addresses) {
        if (from !== to) this.links.set(`${from.id}-${to.id}`, new Proxy(to.peerPort))
      }
    }
    await Promise.all([...this.links.values(), ...this.doors.values()].map((proxy) => proxy.listen()))
  }

  async close(): Promise<void> {
    await Promise.all([...this.links.values(), ...this.doors.values()].map((proxy) => proxy.close()))
  }

  /** The cluster as node `id` is told: itself where it listens, the others behind the proxies it has to take. */
  seenBy(id: number): ReadonlyArray<NodeAddress> {
    return this.addresses.map((address) =>
      address.id === id ? address : {
        ...address,
        peerPort: this.link(id, address.id).port,
        clientPort: this.door(address.id).port
      }
    )
  }

  /** What `from` sends to `to`, and the answers to that. */
  link(from: number, to: number): Proxy {
    const link = this.links.get(`${from}-${to}`)
    if (link === undefined) throw new Error(`there is no way from ${from} to ${to}`)
    return link
  }

  /** The way of clients to a node. */
  door(id: number): Proxy {
    const door = this.doors.get(id)
    if (door === undefined) throw new Error(`there is no node ${id}`)
    return door
  }

  /** A fault on every way out of a node, or into it, or both. */
  around(id: number, ways: "out" | "in" | "both", fault: Partial<Fault>): void {
    for (const { id: other } of this.addresses) {
      if (other === id) continue
      if (ways !== "in") this.link(id, other).set(fault)
      if (ways !== "out") this.link(other, id).set(fault)
    }
  }

  heal(): void {
    for (const proxy of [...this.links.values(), ...this.doors.values()]) proxy.set(healthy)
  }
}
