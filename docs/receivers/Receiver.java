// Takes reporting webhooks and checks their signatures. It needs the JDK only.
import com.sun.net.httpserver.Headers;
import com.sun.net.httpserver.HttpServer;
import java.net.InetSocketAddress;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.util.Base64;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

class Signature {
    /** Whether the request was signed with the key, at most five minutes from now. */
    static boolean verify(byte[] key, Headers headers, byte[] body) throws GeneralSecurityException {
        String id = headers.getFirst("webhook-id"), timestamp = headers.getFirst("webhook-timestamp");
        String signatures = headers.getFirst("webhook-signature");
        if (id == null || signatures == null || timestamp == null || !timestamp.matches("[0-9]{1,12}")
                || Math.abs(System.currentTimeMillis() / 1000 - Long.parseLong(timestamp)) > 300) {
            return false;
        }
        Mac mac = Mac.getInstance("HmacSHA256");
        mac.init(new SecretKeySpec(key, "HmacSHA256"));
        mac.update((id + "." + timestamp + ".").getBytes());
        String want = "v1," + Base64.getEncoder().encodeToString(mac.doFinal(body));
        boolean valid = false;
        for (String signature : signatures.split(" ")) {
            valid |= MessageDigest.isEqual(signature.getBytes(), want.getBytes());
        }
        return valid;
    }
}

// The receiver. Any framework will do that gives the body as it came.
public class Receiver {
    public static void main(String[] args) throws Exception {
        byte[] key = Base64.getDecoder().decode(System.getenv("WEBHOOK_SECRET").replaceFirst("^whsec_", ""));
        if (key.length == 0) {
            throw new IllegalStateException("WEBHOOK_SECRET is not set to a secret that begins with whsec_");
        }
        HttpServer server = HttpServer.create(new InetSocketAddress("localhost", 3000), 0);
        server.createContext("/webhooks", exchange -> {
            try (exchange) {
                byte[] body = exchange.getRequestBody().readNBytes(1 << 20);
                boolean valid = Signature.verify(key, exchange.getRequestHeaders(), body);
                if (!valid || !exchange.getRequestMethod().equals("POST")) {
                    exchange.sendResponseHeaders(401, -1);
                    return;
                }
                // Queue it here under its webhook-id, which is the same on every attempt.
                System.out.println(exchange.getRequestHeaders().getFirst("webhook-id") + " " + new String(body));
                exchange.sendResponseHeaders(204, -1); // answer first, process later
            } catch (GeneralSecurityException e) {
                throw new IllegalStateException(e);
            }
        });
        server.start();
    }
}
