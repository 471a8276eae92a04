// What pages cannot do without a script. All of it is comfort: each page works without.
(() => {
  const D = document, $ = (s, e = D) => e.querySelector(s), $$ = (s, e = D) => [...e.querySelectorAll(s)]
  const rough = s => s < 60 ? `${s | 0} s` : s < 3600 ? `${s / 60 | 0} min` : s < 172800 ? `${s / 3600 | 0} h` : `${s / 86400 | 0} days`
  const times = () => $$('time[datetime]').forEach(t => {
    const at = new Date(t.dateTime), s = (Date.now() - at) / 1000
    t.textContent = 'clock' in t.dataset ? at.toLocaleString([], { ...(at.toDateString() != new Date().toDateString() && { month: 'short', day: 'numeric' }), hour: '2-digit', minute: '2-digit', hourCycle: 'h23' }) : s < 0 ? `in ${rough(-s)}` : s < 5 ? 'just now' : `${rough(s)} ago`
    if (!t.title.includes('here')) t.title += `, ${at.toLocaleString()} here`
  })
  const settle = () => {
    times(), tally(), announce()
    const d = $('#dialog dialog:not([open])')
    if (d) { D.activeElement.closest('[popover]')?.hidePopover(); d.showModal(); d.onclose = () => { d.remove(); shut(d) }; if (d.dataset.at) { history.pushState(0, '', d.dataset.at); D.title = d.dataset.title } }
    const f = $('[data-focus]')
    if (f) { f.removeAttribute('data-focus'); f.focus() }
  }
  addEventListener('DOMContentLoaded', settle)
  D.addEventListener('htmx:after:swap', settle)
  setInterval(times, 10000)
  D.addEventListener('close-dialog', () => $('#dialog dialog')?.close())
  D.addEventListener('submit', e => e.target.closest('[popover]')?.hidePopover())
  D.addEventListener('click', async e => {
    const b = e.target.closest('[data-copy],[data-close]')
    if (!b) return
    if ('close' in b.dataset) { const d = b.closest('dialog'); if (d) { e.preventDefault(); d.close() } return }
    const from = $(b.dataset.copy), was = b.textContent
    try { await navigator.clipboard.writeText(from.textContent) } catch { getSelection().selectAllChildren(from); D.execCommand('copy') }
    b.textContent = 'Copied'; setTimeout(() => b.textContent = was, 1500)
  })
  // A delivery of the list opens beside it where there is room, under its own address. Back leads to the list, as closing does.
  const list = location.pathname, title = D.title
  const shut = d => { D.title = title; if (location.pathname == d.dataset.at) history.back() }
  D.addEventListener('click', e => {
    const a = e.target.closest('[data-drawer],.drawer a[href^="#"]'), to = a?.hash && $(a.hash)
    if (!a || e.ctrlKey || e.metaKey || e.shiftKey || e.altKey || !to && innerWidth < 1100) return
    e.preventDefault()
    if (to) { to.open = true; to.scrollIntoView() } else htmx.ajax('GET', a.href + '?drawer', { target: '#dialog' })
  })
  addEventListener('popstate', () => { const d = $('.drawer'); if (d && location.pathname != d.dataset.at) d.close(); else if (!d && location.pathname != list) location.reload() })
  // Rows that came since are read out to whoever asked for it.
  let known
  const announce = () => {
    const rows = $$('#live tr'), came = known ? rows.filter(r => !known.has(r.id)) : []
    known = new Set(rows.map(r => r.id))
    if (came.length && speak.ariaPressed == 'true') log.textContent = came.length > 5 ? `${came.length} new rows` : came.map(r => r.innerText.replace(/\s+/g, ' ')).join('. ')
  }
  const speak = $('#announce'), log = $('#announced')
  if (speak && $('#live')) {
    speak.hidden = false
    speak.onclick = () => { const on = speak.ariaPressed != 'true'; speak.ariaPressed = on; log.ariaLive = on ? 'polite' : 'off' }
  }
  const picked = () => $$('[name=id]:checked')
  const tally = () => $$('[data-count]').forEach(n => n.textContent = picked().length)
  D.addEventListener('change', e => {
    const all = e.target.closest('[data-all]')
    if (all) $$(all.dataset.all).forEach(c => c.checked = all.checked)
    tally()
  })
  // News: the page asks for itself again, unless someone is reading further down, at work in it, or has paused it.
  let fresh = 0, lost = 0
  const pill = $('#fresh'), pulse = $('#pulse')
  const show = (state, text) => { pulse.hidden = false; pulse.dataset.state = state; pulse.lastChild.textContent = text }
  const busy = () => pulse.dataset.state == 'paused' || scrollY > 120 || $('[name=id]:checked,:popover-open,dialog[open],#content :is(input:not([type=checkbox]),select,textarea):focus')
  const refresh = () => { fresh = 0; pill.hidden = true; htmx.trigger('#content', 'refresh') }
  if (pill) {
    pill.onclick = () => { picked().forEach(c => c.click()); scrollTo(0, 0); refresh() }
    pulse.onclick = () => {
      const on = pulse.dataset.state == 'live'
      if (pulse.dataset.state == 'off') return location.reload()
      show(on ? 'paused' : 'live', on ? 'Paused' : 'Live')
      if (!on && fresh) refresh()
    }
  }
  D.addEventListener('news', e => {
    const n = +e.detail.data, many = n > 20, total = fresh + n
    if (!busy()) { refresh(); if (!many) return }
    fresh = total
    pill.textContent = `${fresh.toLocaleString('en')} new${many ? ', showing a sample' : ''}`
    pill.hidden = false
  })
  D.addEventListener('signed-out', () => location.reload())
  const missed = () => { if (++lost > 3) show('off', 'Live updates are off. Refresh'); else show('lost', 'Reconnecting…') }
  D.addEventListener('htmx:sse:error', e => { if (e.detail.status == 401) location.reload(); else missed() })
  D.addEventListener('htmx:finally:request', e => { if (e.target.matches?.('[hx-sse\\:connect]') && !e.target._htmx?.sse) if (e.detail.ctx.response?.status == 401) location.reload(); else missed() }) // it never began
  D.addEventListener('htmx:sse:after:connection', () => { lost = 0; if (pulse.dataset.state != 'paused') show('live', 'Live') })
  // Keys in lists: j and k move, Enter opens, x selects, r replays, / searches, ? tells of them.
  D.addEventListener('keydown', e => {
    if (!('shortcuts' in D.body.dataset) || e.ctrlKey || e.metaKey || e.altKey || e.target.closest('input:not([type=checkbox]),textarea,select,dialog')) return
    const rows = $$('tr[data-href]'), at = rows.findIndex(r => r.contains(D.activeElement)), go = i => rows[i] && $('a', rows[i]).focus()
    const does = { j: () => go(at + 1), k: () => go(Math.max(at - 1, 0)), x: () => rows[at] && $('[name=id]', rows[at])?.click(), r: () => { const b = $('[data-key=r]'); if (b && (b.offsetParent || picked().length)) b.click() }, '/': () => $('#find').focus(), '?': () => $('#keys').togglePopover() }[e.key]
    if (does) { e.preventDefault(); does() }
  })
})()
