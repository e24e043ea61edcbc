/**
 * Rows that were read, by key, with the newest value that was committed. What is only written, like history, is not
 * kept here. The oldest are evicted by second chance (the CLOCK algorithm): using a row costs nothing, where keeping
 * the order of use exact would move it each time.
 */
interface Row {
  readonly text: string
  /** `undefined` when there is no such row. */
  value: Uint8Array | undefined
  /** Whether it was asked for since eviction last came by. */
  used: boolean
}

/** Bytes of a row's objects beside its key and value; the memory of a value by itself takes more than half of them. */
const rowOverhead = 400

const bytesOf = ({ text, value }: Row): number => rowOverhead + text.length + (value?.byteLength ?? 0)

/** The share of its limit to which the memory of rows shrinks at a time, so that eviction is rare. */
const shrinkTo = 15 / 16

export class CleanRows {
  private readonly maxBytes: number
  /** In the order in which eviction comes by. */
  private readonly rows = new Map<string, Row>()
  private bytes = 0

  constructor(maxBytes: number) {
    this.maxBytes = maxBytes
  }

  /** A row that is used now. */
  use(text: string): { readonly value: Uint8Array | undefined } | undefined {
    const row = this.rows.get(text)
    if (row !== undefined) row.used = true
    return row
  }

  has(text: string): boolean {
    return this.rows.has(text)
  }

  /**
   * Sets the value of a row that is here. Answers whether there was none before; `undefined` for a row that is not
   * here.
   */
  update(text: string, value: Uint8Array | undefined): boolean | undefined {
    const row = this.rows.get(text)
    if (row === undefined) return undefined
    const absent = row.value === undefined
    this.bytes += (value?.byteLength ?? 0) - (row.value?.byteLength ?? 0)
    row.value = value
    return absent
  }

  /**
   * Takes a row that is not here. It has to be used again before eviction comes by: most rows of a load that only adds
   * keys are not, and another round would move each of them once.
   */
  add(text: string, value: Uint8Array | undefined): void {
    const row = { text, value, used: false }
    this.rows.set(text, row)
    this.bytes += bytesOf(row)
  }

  clear(): void {
    this.rows.clear()
    this.bytes = 0
  }

  /** Evicts rows once they are too many, but gives one that was used since the last time another round. */
  evict(): void {
    if (this.bytes <= this.maxBytes) return
    let left = 2 * this.rows.size
    for (const row of this.rows.values()) {
      this.rows.delete(row.text)
      if (row.used) {
        row.used = false
        this.rows.set(row.text, row)
      } else this.bytes -= bytesOf(row)
      left -= 1
      if (left === 0 || this.bytes <= this.maxBytes * shrinkTo) return
    }
  }
}
