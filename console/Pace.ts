/**
 * How often the page draws. A sample comes once a second, and drawing it takes the processor of whoever looks: a few
 * milliseconds on a machine that has nothing else to do, many where the nodes themselves or other programs want it. So
 * the page rests in proportion to what its drawings took, and draws each sample only where that is cheap.
 */

/** The page rests so many times as long as a drawing took. */
const restPerDrawing = 100

/** What is shown is never older than this, in milliseconds. */
const maxRestMs = 4_000

/** Samples come a little early or late. */
const slackMs = 300

/** What a new drawing weighs in what drawings are thought to take: one that was held up by chance changes little. */
const weight = 0.4

export class Pace {
  private drawingMs = 0
  private begunMs = -Infinity

  /** How long the page rests between two drawings. */
  get restMs(): number {
    return Math.min(maxRestMs, this.drawingMs * restPerDrawing)
  }

  /** Whether a sample that came at `nowMs` is drawn. */
  isDue(nowMs: number): boolean {
    return nowMs - this.begunMs + slackMs >= this.restMs
  }

  /** A drawing began at `beginMs` and took so long; the first one of a page has much to do that the others have not. */
  drew(beginMs: number, tookMs: number): void {
    const isFirst = this.begunMs === -Infinity
    this.begunMs = beginMs
    if (!isFirst) this.drawingMs += (tookMs - this.drawingMs) * weight
  }
}
