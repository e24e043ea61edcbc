/** Debian's Chromium, driven as a person would: what the tests of the console look with. */
import axe from "axe-core"
import { Context, Effect, Layer } from "effect"
import { accessSync, constants } from "node:fs"
import { chromium } from "playwright-core"
import type { Browser, Page } from "playwright-core"
import { waitMs } from "../Eventually.ts"

const program = process.env["CHROMIUM"] ?? "/usr/bin/chromium"

/** Why no browser can be used; `undefined` when one can. */
export const noBrowser = ((): string | undefined => {
  try {
    accessSync(program, constants.X_OK)
    return undefined
  } catch {
    return `${program} is not installed: the tests of the console are skipped`
  }
})()

if (noBrowser !== undefined) process.stderr.write(`${noBrowser}\n`)

/** For all tests of a file: each page that is opened shares nothing with another one. */
export class Chromium extends Context.Service<Chromium, Browser>()("test/Chromium") {
  static readonly layer = Layer.effect(
    Chromium,
    Effect.acquireRelease(
      Effect.promise(() =>
        chromium.launch({ executablePath: program, args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"] })
      ),
      (browser) => Effect.promise(() => browser.close())
    )
  )
}

export interface PageOptions {
  readonly width?: number
  readonly height?: number
  readonly dark?: boolean
}

/** A page of a browser of its own, and everything that went wrong in it. */
export interface Looked {
  readonly page: Page
  /** Errors of scripts, refusals of the content security policy, and requests to anywhere but the node. */
  readonly wrongs: ReadonlyArray<string>
}

/** What the browser says by itself of an answer that is no success: the page tells of it in its own way. */
const isAnswer = (text: string): boolean => /^Failed to load resource: (the server responded|net::ERR)/.test(text)

export const open = Effect.fnUntraced(function*(
  url: string,
  { dark = false, height = 900, width = 1_280 }: PageOptions = {}
) {
  const browser = yield* Chromium
  const context = yield* Effect.acquireRelease(
    Effect.promise(() =>
      browser.newContext({
        viewport: { width, height },
        colorScheme: dark ? "dark" : "light",
        reducedMotion: "reduce",
        // Certificates of a test's own authority.
        ignoreHTTPSErrors: true
      })
    ),
    (opened) => Effect.promise(() => opened.close())
  )
  const page = yield* Effect.promise(() => context.newPage())
  page.setDefaultTimeout(waitMs())
  const wrongs: Array<string> = []
  page.on("pageerror", (error) => wrongs.push(`script: ${error.message}`))
  page.on("console", (message) => {
    if (message.type() === "error" && !isAnswer(message.text())) wrongs.push(`console: ${message.text()}`)
  })
  page.on("request", (request) => {
    if (new URL(request.url()).origin !== new URL(url).origin) wrongs.push(`asked ${request.url()}`)
  })
  yield* Effect.promise(() => page.goto(url))
  return { page, wrongs } satisfies Looked
})

/** Waits until a text is somewhere on the page. */
export const until = (page: Page, text: string | RegExp): Effect.Effect<void> =>
  Effect.promise(() => page.getByText(text).first().waitFor({ timeout: waitMs() }))

/** What axe finds fault with: each rule with the elements that break it. */
export const faults = (page: Page): Effect.Effect<ReadonlyArray<string>> =>
  Effect.promise(async () => {
    await page.evaluate(axe.source)
    const found = await page.evaluate(`axe.run(document, { resultTypes: ["violations"] })`) as axe.AxeResults
    return found.violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 120)).join(" | ")}`)
  })

/** Whether something of the page lies beside the screen. */
export const scrollsSideways = (page: Page): Effect.Effect<boolean> =>
  Effect.promise(() => page.evaluate(`document.documentElement.scrollWidth > innerWidth`) as Promise<boolean>)
