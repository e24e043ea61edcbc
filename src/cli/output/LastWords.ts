/**
 * Why a process ended, from what it wrote to standard error last. A node writes log lines in JSON, and at its end an
 * error for people, which may have several lines; the runtime's own last words, when it crashes, are no JSON either.
 */

/** Lines that are kept. */
const maxLines = 20

/** Characters that are kept of a line. */
const maxLineLength = 1_000

/** How the command line begins an error. */
const errorStart = "flaredb: "

const isLog = (line: string): boolean => line.startsWith("{")

export class LastWords {
  private readonly decoder = new TextDecoder("utf-8", { ignoreBOM: true })
  /** The end of what was written, a line that may go on last. */
  private readonly lines: Array<string> = [""]

  take(chunk: Uint8Array): void {
    const [more = "", ...lines] = this.decoder.decode(chunk, { stream: true }).split("\n")
    const last = this.lines.length - 1
    this.lines[last] = (this.lines[last] + more).slice(0, maxLineLength)
    for (const line of lines) this.lines.push(line.slice(0, maxLineLength))
    if (this.lines.length > maxLines + 1) this.lines.splice(0, this.lines.length - maxLines - 1)
  }

  /** The last error with all its lines; empty when there is nothing but log lines. */
  text(): string {
    const lines = this.lines.filter((line) => line.trim() !== "")
    const start = lines.findLastIndex((line) => line.startsWith(errorStart))
    const words = (start < 0 ? lines : lines.slice(start)).filter((line) => !isLog(line))
    return words.join("\n").replace(errorStart, "").trim()
  }
}
