# Takes reporting webhooks and checks their signatures. It needs the gem webrick only.
require "openssl"
require "webrick"

# Whether the request was signed with the key, at most five minutes from now.
def verify(key, headers, body)
  id, timestamp = headers["webhook-id"], headers["webhook-timestamp"].to_s
  return false unless timestamp.match?(/\A[0-9]{1,12}\z/) && (Time.now.to_i - timestamp.to_i).abs <= 300
  mac = OpenSSL::HMAC.digest("SHA256", key, "#{id}.#{timestamp}.#{body}")
  want = "v1," + [mac].pack("m0")
  headers["webhook-signature"].to_s.split.any? { |signature| OpenSSL.secure_compare(signature, want) }
end

# The receiver. Any framework will do that gives the body as it came.
KEY = ENV.fetch("WEBHOOK_SECRET").delete_prefix("whsec_").unpack1("m0")
abort "WEBHOOK_SECRET is not set to a secret that begins with whsec_" if KEY.empty?

server = WEBrick::HTTPServer.new(BindAddress: "localhost", Port: 3000, AccessLog: [])
server.mount_proc("/webhooks") do |request, response|
  raise WEBrick::HTTPStatus::NotFound unless request.request_method == "POST"
  raise WEBrick::HTTPStatus::RequestEntityTooLarge if request.content_length.to_i > 1 << 20
  unless verify(KEY, request, request.body.to_s)
    raise WEBrick::HTTPStatus::Unauthorized, "the signature is not valid"
  end
  # Queue it here under its webhook-id, which is the same on every attempt.
  puts "#{request["webhook-id"]} #{request.body}"
  response.status = 204 # answer first, process later
end
trap("INT") { server.shutdown }
server.start
