// Takes reporting webhooks and checks their signatures. It needs Node only.
import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer, type IncomingHttpHeaders } from "node:http";

// Whether the request was signed with the key, at most five minutes from now.
function verify(key: Buffer, headers: IncomingHttpHeaders, body: Buffer): boolean {
  const id = headers["webhook-id"], timestamp = headers["webhook-timestamp"];
  if (!(Math.abs(Date.now() / 1000 - Number(timestamp)) <= 300)) return false;
  const mac = createHmac("sha256", key).update(`${id}.${timestamp}.`).update(body);
  const want = Buffer.from("v1," + mac.digest("base64"));
  return String(headers["webhook-signature"]).split(" ").some((signature) => {
    const got = Buffer.from(signature);
    return got.length === want.length && timingSafeEqual(got, want);
  });
}

// The receiver. Any framework will do that gives the body as it came.
const key = Buffer.from((process.env["WEBHOOK_SECRET"] ?? "").replace(/^whsec_/, ""), "base64");
if (key.length === 0) throw new Error("WEBHOOK_SECRET is not set to a secret that begins with whsec_");

createServer((request, response) => {
  const answer = (status: number, text?: string) => response.writeHead(status).end(text);
  if (request.method !== "POST" || request.url?.split("?")[0] !== "/webhooks") return answer(404);
  const parts: Buffer[] = [];
  let size = 0;
  request.on("data", (part: Buffer) => {
    if ((size += part.length) > 1 << 20) return request.destroy();
    parts.push(part);
  });
  request.on("end", () => {
    const body = Buffer.concat(parts);
    if (!verify(key, request.headers, body)) return answer(401, "the signature is not valid");
    // Queue it here under its webhook-id, which is the same on every attempt.
    console.log(request.headers["webhook-id"], body.toString());
    answer(204); // answer first, process later
  });
}).listen(3000, "localhost");
