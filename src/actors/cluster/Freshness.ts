/**
 * Whether the copy of the queues is recent enough to read from. A reading has to see what was acknowledged before it.
 * What this process saves is put into the copy at once, so the cluster is asked how far it is only for what others
 * saved: when a runner learned of a request that the copy does not show, and after claims were given back, because
 * the copy may not show yet what was finished meanwhile.
 */
export class Freshness {
  /** Requests of other processes that this one learned of. */
  private announced = new Set<string>()
  private doubtful = true
  private readonly isAnnounced: boolean

  /**
   * `isAnnounced` says that {@link announce} is called for the requests of others. If not, each reading asks the
   * cluster.
   */
  constructor(isAnnounced: boolean) {
    this.isAnnounced = isAnnounced
  }

  /** A request that another process saved is to be read. */
  announce(id: string): void {
    this.announced.add(id)
  }

  /** The next reading asks the cluster. */
  doubt(): void {
    this.doubtful = true
  }

  /** Whether the copy has to catch up before this reading. `isKnown` says whether it shows a request. */
  mustCatchUp(isKnown: (id: string) => boolean): boolean {
    const { announced } = this
    if (announced.size > 0) this.announced = new Set()
    const doubtful = this.doubtful
    this.doubtful = false
    if (doubtful || !this.isAnnounced) return true
    for (const id of announced) if (!isKnown(id)) return true
    return false
  }
}
