/** Who is at the other end of each connection of a port, by the number that its handlers know it by. */
import type { Remote } from "./Remote.ts"
import { plain } from "./Remote.ts"

export class Remotes {
  private readonly known = new Map<number, Remote>()

  /** The port knows it before the first call of a connection, and until its handlers have heard of its end. */
  of(clientId: number): Remote {
    return this.known.get(clientId) ?? plain
  }

  /** For the port. */
  add(clientId: number, remote: Remote): void {
    if (remote._tag !== "Plain") this.known.set(clientId, remote)
  }

  /** For the port. */
  forget(clientId: number): void {
    this.known.delete(clientId)
  }
}
