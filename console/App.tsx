/** The frame of the page: who looks, where one can go, and the page itself. */
import { useEffect, useState } from "preact/hooks"
import { ActorsPage } from "./Actors.tsx"
import { call, CallFailed, hasToken, useToken, whenLoginIsNeeded } from "./Api.ts"
import { KeyPage } from "./KeyPage.tsx"
import { KeysPage } from "./Keys.tsx"
import { LeasesPage } from "./Leases.tsx"
import { Login } from "./Login.tsx"
import { Overview } from "./Overview.tsx"
import { Heading, Problem } from "./Parts.tsx"
import { partKey, useRoute } from "./Route.ts"
import type { Route } from "./Route.ts"
import { SessionsPage } from "./Sessions.tsx"
import { ThemeSwitch } from "./Theme.tsx"
import type { Viewer } from "./Types.ts"
import { WatchPage } from "./WatchPage.tsx"

const pages = (viewer: Viewer) =>
  [
    { page: "overview", name: "Overview", isThere: true },
    { page: "keys", name: "Keys", isThere: viewer.keys },
    { page: "watch", name: "Watch", isThere: viewer.keys },
    { page: "leases", name: "Leases and locks", isThere: viewer.keys },
    { page: "sessions", name: "Sessions", isThere: viewer.keys },
    { page: "actors", name: "Actors", isThere: viewer.parts.includes("actors") }
  ].filter(({ isThere }) => isThere)

const Page = ({ route: { page, rest }, viewer }: { readonly route: Route; readonly viewer: Viewer }) => {
  switch (page) {
    case "keys":
      return <KeysPage key={rest} prefix={partKey(rest)} />
    case "key":
      return <KeyPage key={rest} name={partKey(rest)} />
    case "watch":
      return <WatchPage key={rest} prefix={partKey(rest)} />
    case "leases":
      return <LeasesPage />
    case "sessions":
      return <SessionsPage />
    case "actors":
      return <ActorsPage key={rest} tab={rest} />
    default:
      return viewer.overview ? <Overview /> : (
        <>
          <Heading>Overview</Heading>
          <p>The overview is for administrators. {viewer.name} may look at the keys that its roles allow.</p>
        </>
      )
  }
}

const Navigation = ({ route, viewer }: { readonly route: Route; readonly viewer: Viewer }) => (
  <nav aria-label="Pages">
    <ul>
      {pages(viewer).map(({ name, page }) => (
        <li key={page}>
          <a
            href={`#/${page}`}
            aria-current={route.page === page || (page === "keys" && route.page === "key") ? "page" : undefined}
          >
            {name}
          </a>
        </li>
      ))}
    </ul>
  </nav>
)

export const App = () => {
  const route = useRoute()
  const [viewer, setViewer] = useState<Viewer>()
  const [login, setLogin] = useState(false)
  const [problem, setProblem] = useState<string>()
  const who = () => {
    setProblem(undefined)
    call<Viewer>("whoami").then(setViewer, (error: unknown) => {
      if (error instanceof CallFailed && error.tag === "Unauthenticated") setLogin(true)
      else setProblem(error instanceof Error ? error.message : String(error))
    })
  }
  useEffect(() => {
    whenLoginIsNeeded(() => {
      setViewer(undefined)
      setLogin(true)
    })
    who()
  }, [])
  const leave = () => {
    useToken(undefined)
    // What was shown to the one who leaves is not for the next one.
    location.reload()
  }
  return (
    <>
      <a
        class="skip"
        href="#main"
        onClick={(event) => {
          event.preventDefault()
          document.querySelector<HTMLElement>("main h1")?.focus()
        }}
      >
        Skip to the page
      </a>
      <header>
        <a class="brand" href="#/overview">
          <img src="/console/icon.svg" alt="" width="24" height="24" />FlareDB
        </a>
        {viewer === undefined ? null : <Navigation route={route} viewer={viewer} />}
        <div class="who">
          {viewer === undefined || viewer.name === null ? null : <span class="quiet">{viewer.name}</span>}
          {viewer !== undefined && hasToken() ? <button type="button" onClick={leave}>Log out</button> : null}
          {viewer !== undefined && viewer.name !== null && !hasToken()
            ? <button type="button" onClick={() => setLogin(true)}>Log in with a token</button>
            : null}
          <ThemeSwitch />
        </div>
      </header>
      {viewer !== undefined && !login
        ? (
          <main id="main">
            <Page route={route} viewer={viewer} />
          </main>
        )
        : login
        ? (
          <Login
            onViewer={(found) => {
              setLogin(false)
              setViewer(found)
            }}
          />
        )
        : (
          <main id="main">
            <Problem text={problem} />
            {problem === undefined
              ? <p class="quiet" aria-busy="true">Reading…</p>
              : <button type="button" onClick={who}>Try again</button>}
          </main>
        )}
      <footer class="quiet">
        {/* A link cannot show a token. */}
        {hasToken() ? null : (
          <>
            <a href="/plain">plain page</a> · <a href="/status">status</a> · <a href="/metrics">metrics</a>
          </>
        )}
      </footer>
    </>
  )
}
