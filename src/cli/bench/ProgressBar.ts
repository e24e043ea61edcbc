/**
 * A bar on standard error while a measurement runs; a line for each step where that is no terminal, when it is wanted.
 */
import { noticeText } from "../output/Messages.ts"

const width = 24

export class ProgressBar {
  private readonly steps: number
  private readonly stepMs: number
  private done = 0
  private startedMs = 0
  private text = ""
  private timer: NodeJS.Timeout | undefined

  private readonly shown: boolean

  /** `steps` of about `stepMs` milliseconds each. */
  constructor(steps: number, stepMs: number, shown = process.stderr.isTTY) {
    this.shown = shown
    this.steps = steps
    this.stepMs = stepMs
  }

  /** The next step begins. */
  begin(text: string): void {
    if (!this.shown) return
    if (!process.stderr.isTTY) {
      process.stderr.write(`${noticeText(`${this.done + 1}/${this.steps} ${text}`)}\n`)
      return
    }
    this.text = text
    this.startedMs = performance.now()
    this.timer ??= setInterval(() => this.draw(), 200)
    this.draw()
  }

  /** The step is over. */
  end(): void {
    this.done += 1
  }

  /** Removes the bar. */
  close(): void {
    clearInterval(this.timer)
    if (this.timer !== undefined) process.stderr.write("\r\u001b[K")
  }

  private draw(): void {
    const share = Math.min(1, (performance.now() - this.startedMs) / this.stepMs)
    const part = Math.min(1, (this.done + share) / this.steps)
    const bar = "█".repeat(Math.round(part * width)).padEnd(width, "░")
    const left = Math.max(0, Math.round((this.steps - this.done - share) * this.stepMs / 1000))
    process.stderr.write(`\r\u001b[K${bar} ${this.done + 1}/${this.steps} ${this.text}, about ${left} s left`)
  }
}
