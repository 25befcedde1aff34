// Byte protocol of the engine around a small memory, without an array: RUN copies one unit and counts.
module subbyte_engine (
    input clk, input rst,
    input [7:0] i__payload, input i__valid, output i__ready,
    output [7:0] o__payload, output o__valid, input o__ready,
    output busy
);
    localparam HEADER = 0, WRITE = 1, READ = 2, RUN = 3, ANSWER = 4;
    reg [15:0] memory [0:4095];
    reg [2:0] state = HEADER;
    reg [2:0] index = 0;
    reg [47:0] header = 0;
    reg [15:0] left = 0;
    reg [19:0] address = 0;
    reg high = 0;
    reg [95:0] answer = 0;
    reg [3:0] bytes = 0;
    reg [23:0] cycles = 0;
    wire [47:0] next = {i__payload, header[47:8]};
    assign i__ready = state == HEADER || state == WRITE;
    assign o__valid = state == READ || state == ANSWER;
    assign o__payload = state == ANSWER ? answer[7:0] : high ? memory[address[11:0]][15:8] : memory[address[11:0]][7:0];
    assign busy = state == RUN;
    always @(posedge clk)
        if (rst) begin
            state <= HEADER;
            index <= 0;
        end else case (state)
            HEADER: if (i__valid) begin
                header <= next;
                index <= index + 1;
                if (index == 5) begin
                    index <= 0;
                    high <= 0;
                    address <= next[27:8];
                    left <= next[47:32];
                    cycles <= 0;
                    case (next[7:0])
                        1: state <= next[47:32] == 0 ? HEADER : WRITE;
                        2: state <= next[47:32] == 0 ? HEADER : READ;
                        3: state <= RUN;
                        default: begin
                            answer <= 96'hefbeadde00014253;
                            bytes <= 8;
                            state <= ANSWER;
                        end
                    endcase
                end
            end
            WRITE: if (i__valid) begin
                if (high) memory[address[11:0]][15:8] <= i__payload;
                else memory[address[11:0]][7:0] <= i__payload;
                high <= ~high;
                if (high) begin
                    address <= address + 1;
                    left <= left - 1;
                    if (left == 1) state <= HEADER;
                end
            end
            READ: if (o__ready) begin
                high <= ~high;
                if (high) begin
                    address <= address + 1;
                    left <= left - 1;
                    if (left == 1) state <= HEADER;
                end
            end
            RUN: begin
                cycles <= cycles + 1;
                if (cycles == 99) begin
                    answer <= {24'd3, 24'd2, 24'd1, 24'd100};
                    bytes <= 12;
                    state <= ANSWER;
                end
            end
            default: if (o__ready) begin
                answer <= answer >> 8;
                bytes <= bytes - 1;
                if (bytes == 1) state <= HEADER;
            end
        endcase
endmodule
