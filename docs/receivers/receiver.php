<?php // Takes reporting webhooks and checks their signatures. It needs PHP only.

// Whether the request was signed with the key, at most five minutes from now.
function verify(string $key, array $headers, string $body): bool
{
    $id = $headers["HTTP_WEBHOOK_ID"] ?? "";
    $timestamp = $headers["HTTP_WEBHOOK_TIMESTAMP"] ?? "";
    if (!preg_match('/^[0-9]{1,12}$/D', $timestamp) || abs(time() - (int) $timestamp) > 300) {
        return false;
    }
    $want = "v1," . base64_encode(hash_hmac("sha256", "$id.$timestamp.$body", $key, true));
    foreach (explode(" ", $headers["HTTP_WEBHOOK_SIGNATURE"] ?? "") as $signature) {
        if (hash_equals($want, $signature)) {
            return true;
        }
    }
    return false;
}

// The receiver. Any framework will do that gives the body as it came.
$key = base64_decode(preg_replace("/^whsec_/", "", (string) getenv("WEBHOOK_SECRET")));
if ($key === "") {
    http_response_code(500);
    exit("WEBHOOK_SECRET is not set to a secret that begins with whsec_");
}
$path = explode("?", $_SERVER["REQUEST_URI"])[0];
if ($_SERVER["REQUEST_METHOD"] !== "POST" || $path !== "/webhooks") {
    http_response_code(404);
    exit;
}
$body = file_get_contents("php://input", false, null, 0, 1 << 20);
if (!verify($key, $_SERVER, $body)) {
    http_response_code(401);
    exit("the signature is not valid");
}
// Queue it here under its webhook-id, which is the same on every attempt.
error_log($_SERVER["HTTP_WEBHOOK_ID"] . " " . $body);
http_response_code(204); // answer first, process later
